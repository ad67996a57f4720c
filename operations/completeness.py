"""How completely each source's events have arrived, in words: for status, console and notifications."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from contract.accounts import PostingRulesError
from operations.reconcile.store import Reconciliation, read_reconciliations
from operations.units import count, printable
from providers.api_access import read_duration
from runtime.sources_file import read_setting

if TYPE_CHECKING:
    from sql.connect import Connection

LATE_FACTOR, LATE_MORE = 3, timedelta(minutes=15)
"""A source is behind if it is complete until longer ago than this many intervals and this, as its alert says."""

UNTAKEN = timedelta(minutes=2)
"""A comparison that has been due for so long, and that nobody does: no reconciler runs."""

Severity = Literal["good", "warn", "alarm"]


@dataclass(frozen=True, slots=True)
class Completeness:
    """One source. `every`: how often it is to be compared, None if only when somebody asks. `found`: None if never."""

    source: str
    every: timedelta | None
    found: Reconciliation | None

    def until(self, now: datetime) -> str:
        """Return until when it is complete: the time alone if that is today."""
        return "never compared" if self.found is None else _until(self.found.complete_until, now)

    def differences(self) -> str:
        """Return what differs, such as `3 missing, 1 different`; '' if nothing does."""
        kinds = ("missing", "extra", "different")
        numbers = {kind: getattr(self.found, f"open_{kind}") for kind in kinds} if self.found else {}
        return ", ".join(f"{number:,} {kind}" for kind, number in numbers.items() if number)

    def trouble(self, now: datetime) -> str:
        """Return why it may not be compared in time; '' if nothing is known to be wrong."""
        found = self.found
        if found is None:
            return "no reconciler has compared it yet" if self.every else ""
        if found.failures:
            return f"{count(found.failures, 'comparison')} failed: {printable(found.failure or '')}"
        is_claimed = found.claimed_until is not None and found.claimed_until > now
        if self.every and not is_claimed and found.next_at and found.next_at < now - UNTAKEN:
            return "no reconciler runs: its comparison is due"
        return ""

    def is_behind(self, now: datetime) -> bool:
        """Return whether it is not known to be complete for too long."""
        if self.every is None:
            return False
        until = self.found.complete_until if self.found else None
        return until is None or now - until > LATE_FACTOR * self.every + LATE_MORE

    def severity(self, now: datetime) -> Severity:
        """Return how urgent it is."""
        if (self.found and (self.found.open_missing or self.found.refused)) or self.is_behind(now):
            return "alarm"
        return "warn" if self.differences() or self.trouble(now) else "good"

    def sentence(self, now: datetime) -> str:
        """Return all of it in one line: `complete until 14:05, 3 missing`."""
        return ", ".join(filter(None, (self.until(now), self.differences(), self.trouble(now))))


async def read_completeness(connection: "Connection", sources_file: Path) -> list[Completeness]:
    """Return every source that was ever compared, or is to be."""
    found = {each.source: each for each in await read_reconciliations(connection)}
    every = read_schedule(sources_file)
    return [Completeness(source, every.get(source), found.get(source)) for source in sorted(found.keys() | every)]


def read_schedule(sources_file: Path) -> Mapping[str, timedelta]:
    """Return how often each source is to be compared; nothing where the file has a mistake, which the gateway names."""
    try:
        return {source: read_duration(text) for source, text in read_setting(sources_file, "reconcile_every").items()}
    except (PostingRulesError, ValueError):
        return {}


def _until(time: datetime | None, now: datetime) -> str:
    if time is None:
        return "not known to be complete"
    at = time.astimezone(UTC)
    is_today = at.date() == now.astimezone(UTC).date()
    return f"complete until {at:%H:%M}" if is_today else f"complete until {at:%Y-%m-%d %H:%M}"
