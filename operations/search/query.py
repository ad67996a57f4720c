"""A query as values, and which texts it matches."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class QueryError(ValueError):
    """The text is not a query. One sentence for the person who wrote it."""


class Status(StrEnum):
    """What became of an event. Each of the last three is an applied event, too."""

    WAITING = "waiting"
    """In the stream: not read yet, in a worker, or being retried."""
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """A later entry of an event that was applied already."""
    DEAD = "dead"
    DISCARDED = "discarded"
    REPLAYED = "replayed"
    HELD = "held"
    """Applied, with facts on hold."""
    CONFLICT = "conflict"
    """Applied, and contradicts what is booked; nobody has decided yet."""
    OTHER_MODE = "other_mode"
    """Applied, and of the other mode than its source: it moved no money."""


OF_DEAD_LETTERS = frozenset({Status.DEAD, Status.DISCARDED, Status.REPLAYED})

SHOWN_UNASKED = frozenset({Status.WAITING, Status.APPLIED, Status.DEAD, Status.DISCARDED})
"""What a query without `status:` shows: once each event that is known."""

WITHOUT_REASON = frozenset({Status.APPLIED, Status.DUPLICATE})


@dataclass(frozen=True, slots=True)
class Choice:
    """Values of which one must be there, if there are any; and values that must not be there."""

    wanted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def accepts(self, value: str | None) -> bool:
        """Return whether a value, which may have no `*`, matches."""
        text = value or ""
        return (not self.wanted or _any_matches(self.wanted, text)) and not _any_matches(self.refused, text)


@dataclass(frozen=True, slots=True)
class Query:
    """A query. Different qualifiers must all match; of several values of one qualifier, one must.

    `since` is part of the time, `until` is not. Values of `types` may have `*`.
    """

    text: str = ""
    sources: Choice = Choice()
    types: Choice = Choice()
    namespaces: Choice = Choice()
    payments: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Free text: ids of events or payments."""
    reasons: tuple[str, ...] = ()
    """Parts of the reason, in upper or lower case."""
    origins: tuple[str, ...] = ()
    """How events came, `delivery` or `reconcile`; empty: anyhow."""
    statuses: frozenset[Status] = field(default=SHOWN_UNASKED)
    has_status: bool = False
    """Whether the query names statuses itself."""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def hint(self) -> str:
        """A sentence for somebody who may have meant the words of a reason, '' if there is no sign of that."""
        if not (self.ids and self.reasons):
            return ""
        return 'Words without a qualifier are ids. Quote a reason of several words: reason:"no price list".'

    @property
    def names_ids(self) -> bool:
        """Whether it asks for events or payments by their ids."""
        return bool(self.payments or self.events or self.ids)

    def accepts(
        self, *, source: str | None, type_: str | None, namespace: str | None, event_id: str | None,
        payment: str | None,
    ) -> bool:  # fmt: skip
        """Return whether an event with these names matches, whatever its status, time and reason."""
        return (
            self.sources.accepts(source)
            and self.types.accepts(type_)
            and self.namespaces.accepts(namespace)
            and (not self.events or event_id in self.events)
            and (not self.payments or payment in self.payments)
            and (not self.ids or event_id in self.ids or payment in self.ids)
        )

    def accepts_origin(self, origin: str) -> bool:
        """Return whether an entry with this field `origin` matches; only what was not delivered has the field."""
        return not self.origins or (origin or "delivery") in self.origins

    def accepts_reason(self, reason: str | None) -> bool:
        """Return whether a reason matches."""
        text = (reason or "").casefold()
        return not self.reasons or any(part.casefold() in text for part in self.reasons)


def matches_pattern(pattern: str, text: str) -> bool:
    """Return whether a text is what a pattern says, in which `*` stands for any characters."""
    first, *others = pattern.split("*")
    if not others:
        return text == first
    *middle, last = others
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _any_matches(patterns: Iterable[str], text: str) -> bool:
    return any(matches_pattern(pattern, text) for pattern in patterns)
