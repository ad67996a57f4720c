"""One row of a search, and its place in the order of all rows."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from contract.text import has_refused_character
from operations.search.query import QueryError, Status

NO_CURSOR = "This is not the mark of a next page; search again from the start."

END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


class Place(NamedTuple):
    """A place in the order: by time, then by a key that no other row has. The newest row is the largest."""

    at: datetime
    key: str = ""

    def as_cursor(self) -> str:
        """Return the place as an opaque text, for a URL."""
        document = json.dumps([self.at.isoformat(), self.key])
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    @classmethod
    def of_cursor(cls, cursor: str) -> "Place":
        """Return the place that a cursor names. Raise QueryError for every other text."""
        try:
            document = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
            at, key = datetime.fromisoformat(document[0]).astimezone(UTC), document[1]
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
            raise QueryError(NO_CURSOR) from None
        if not isinstance(key, str) or has_refused_character(key):
            raise QueryError(NO_CURSOR)
        return cls(at, key)


@dataclass(frozen=True, slots=True)
class Row:
    """One event in one state. Every text may come from a sender.

    `at` is the time of that state: when it was committed, dead-lettered, recorded as a duplicate, held back, found to
    be in conflict, or added to the stream. The names are None for an entry that is not an envelope.
    """

    at: datetime
    status: Status
    namespace: str | None = None
    event_id: str | None = None
    source: str | None = None
    type: str | None = None
    payment: str | None = None
    received_at: datetime | None = None
    committed_at: datetime | None = None
    reason: str | None = None
    dead_letter_id: int | None = None
    entry_id: str | None = None
    key: str = field(default="", repr=False)
    """Unique among all rows of a search."""

    @property
    def place(self) -> Place:
        """Where the row is in the order."""
        return Place(self.at, self.key)


@dataclass(slots=True)
class Found:
    """What one server has of a page.

    `floor`: everything older was not searched, and is left to the next page. `left_out`: sentences about what is left
    out for good.
    """

    rows: list[Row] = field(default_factory=list)
    floor: Place | None = None
    left_out: list[str] = field(default_factory=list)
