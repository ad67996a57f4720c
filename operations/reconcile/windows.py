"""Which time one run compares, and what is known to be compared after it. Pure functions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from operations.reconcile.errors import WindowError
from operations.reconcile.store import Compared
from providers.api import Window

FIRST_RUN = timedelta(hours=24)
"""How far back the first scheduled run of a source goes."""

REACH_MARGIN = timedelta(minutes=5)
"""How much before the end of its reach a list is trusted: a long run begins with what the provider drops next."""

WINDOW_MAX = timedelta(days=1)
"""The longest window that is listed at once."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run compares; and what it was to compare, but cannot: the provider does not list it any more."""

    window: Window
    cut_from: datetime | None = None

    @property
    def cut(self) -> str:
        """Return a sentence about what cannot be compared, '' if all can be."""
        if self.cut_from is None:
            return ""
        return (
            f"the provider lists nothing from before {at(self.window.since)}, so what it had from {at(self.cut_from)} "
            "until then cannot be known"
        )

    def parts(self) -> list[Window]:
        """Return the windows that are listed one after the other, the oldest first."""
        parts, since = [], self.window.since
        while since < self.window.until:
            until = min(since + WINDOW_MAX, self.window.until)
            parts.append(Window(since, until))
            since = until
        return parts


def plan(wanted: Window, now: datetime, *, reach: timedelta, not_yet: timedelta) -> Plan:
    """Return what can be compared of a time. What is younger than `not_yet` may still be on its way.

    Raise WindowError if nothing is left.
    """
    earliest, latest = now - reach + REACH_MARGIN, now - not_yet
    until = min(wanted.until, latest)
    since = max(wanted.since, earliest)
    if wanted.since >= latest:
        raise WindowError(f"what happened after {at(latest)} may still be on its way: begin with an earlier time")
    if wanted.since >= wanted.until:
        raise WindowError(f"it ends at {at(wanted.until)}, which is not after {at(wanted.since)}, when it begins")
    if until <= since:
        raise WindowError(f"the provider lists nothing from before {at(earliest)}: nothing younger was to be compared")
    return Plan(Window(since, until), wanted.since if since > wanted.since else None)


def scheduled(compared: Compared, now: datetime, overlap: timedelta) -> Window:
    """Return what a scheduled run is to compare: from where the last one ended, and some of that again."""
    since = compared.until - overlap if compared.until else now - max(FIRST_RUN, overlap)
    return Window(min(since, now - timedelta(seconds=1)), now)


def extended(compared: Compared, window: Window, *, over_gaps: bool = False) -> Compared:
    """Return what is compared without a gap after a window was.

    A window that does not touch what was compared before leaves it as it is: nobody knows what is between them. With
    `over_gaps` a person has decided that it does not matter.
    """
    if compared.since is None or compared.until is None:
        return Compared(window.since, window.until)
    if window.since > compared.until:
        return Compared(window.since, window.until) if over_gaps else compared
    if window.until < compared.since:
        return compared
    return Compared(min(compared.since, window.since), max(compared.until, window.until))


def at(time: datetime) -> str:
    """Return a time as it stands in sentences."""
    return time.strftime(TIME_FORMAT)
