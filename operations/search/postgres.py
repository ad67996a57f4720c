"""The rows of a search that are in Postgres: each table from its newest rows on, in windows of time that widen.

A search that finds enough stops early. One that finds little is stopped when its time is over, and says how far it
came. No window reads more than its time: a BRIN index, which costs the workers nothing, finds its pages.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from operations.search.query import OF_DEAD_LETTERS, WITHOUT_REASON, Query, Status
from operations.search.row import Found, Place, Row
from sql import load

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

SEARCH = load("search")
WHY = load("why")

FIRST_WINDOW = timedelta(minutes=1)
SMALL_BYTES = 16 * 1024 * 1024
"""Tables that are no larger in all are searched in one window: that takes no longer than finding the windows."""

WINDOWS_WIDEN_MAX = 8.0
"""A window is at most this many times as long as the one before."""

WINDOWS_END = datetime(2000, 1, 1, tzinfo=UTC)
"""Windows that reach back this far have no lower end."""

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

WINDOW_LEAST_S = 0.02
"""No window is begun with less time than this."""

PLAIN_LEAST_S = 1.0
"""The time of a query that an index bounds: on a busy machine it ends late, and not with nothing to show."""

_CONFLICTS = "search_conflicts"
_DEAD_LETTERS = "search_dead_letters"
_DUPLICATES = "search_duplicates"
_EVENTS = "search_events"
_EVENTS_BY_ID = "search_events_by_id"
_HELD = "search_held"
_OTHER_MODE = "search_other_mode"

_WINDOWED = frozenset({_DEAD_LETTERS, _DUPLICATES, _EVENTS})
"""Queries of tables that may be large, and that are found by time."""

_NAMES = {
    _HELD: "facts on hold",
    _CONFLICTS: "conflicts",
    _OTHER_MODE: "events of the other mode",
    _DEAD_LETTERS: "dead letters",
    _EVENTS_BY_ID: "applied events",
}


@dataclass(slots=True)
class _Search:
    """One search: its connection, the parameters of all its queries, and when it ends."""

    connection: "Connection"
    values: dict[str, Any]
    limit: int
    since: datetime | None
    deadline: float

    @property
    def left_s(self) -> float:
        return self.deadline - time.monotonic()

    async def rows(self, name: str, place: Place, since: datetime, timeout_s: float | None) -> list[Row]:
        """Run one query. Raise TimeoutError when its time is over."""
        values = self.values | {"before": place.at, "before_key": place.key, "since": since, "limit": self.limit + 1}
        needed = {parameter: values[parameter] for parameter in SEARCH.describe(name).parameters}
        records = await self.connection.fetch(*SEARCH.bind(name, **needed), timeout=timeout_s)
        return [_row(record) for record in records]


async def search_postgres(
    connection: "Connection", query: Query, place: Place, *, limit: int, deadline: float
) -> Found:  # fmt: skip
    """Return up to one row more than `limit` of each kind that is older than a place."""
    values = parameters(query)
    if query.names_ids:
        values["known"] = [row["namespace"] for row in await connection.fetch(WHY["list_namespaces"])]
    search = _Search(connection, values, limit, query.since, deadline)
    names = list(_queries(query))
    windowed = [name for name in names if name in _WINDOWED and not (query.names_ids and name == _DEAD_LETTERS)]
    found = Found()
    for name in names:
        if name in windowed:
            continue
        try:
            found.rows += await search.rows(name, place, query.since or BEGINNING, max(search.left_s, PLAIN_LEAST_S))
        except TimeoutError:
            found.left_out.append(f"There was no time to search the {_NAMES[name]}; say more about them.")
    if windowed:
        rows, found.floor = await _walk(search, windowed, place)
        found.rows += rows
    found.rows = await _with_marks(connection, found.rows)
    return found


def _queries(query: Query) -> Iterator[str]:
    """Yield the queries to run, those of small tables first."""
    statuses = query.statuses - WITHOUT_REASON if query.reasons else query.statuses
    if Status.APPLIED not in statuses:
        # Otherwise they are among the applied ones.
        kinds = {Status.CONFLICT: _CONFLICTS, Status.HELD: _HELD, Status.OTHER_MODE: _OTHER_MODE}
        yield from (name for status, name in kinds.items() if status in statuses)
    if statuses & OF_DEAD_LETTERS:
        yield _DEAD_LETTERS
    if Status.APPLIED in statuses:
        yield _EVENTS_BY_ID if query.names_ids else _EVENTS
    if Status.DUPLICATE in statuses:
        yield _DUPLICATES


async def _walk(search: _Search, names: Sequence[str], place: Place) -> tuple[list[Row], Place | None]:
    """Search tables backwards in time. Return the rows, and how far it came if it did not come to the end."""
    rows: list[Row] = []
    size_bytes = await search.connection.fetchval(SEARCH["read_size"])
    window, upper, is_first = timedelta.max if size_bytes <= SMALL_BYTES else FIRST_WINDOW, place, True
    newest = min(place.at, datetime.now(UTC))
    while len(rows) <= search.limit:
        if not is_first and search.left_s < WINDOW_LEAST_S:
            return rows, upper
        lower, is_last = _lower_end(newest, window, search.since)
        started = time.monotonic()
        try:
            rows += await _window(search, names, upper, lower, is_first=is_first)
        except TimeoutError:
            return rows, upper
        if is_last:
            return rows, None
        took_s = max(time.monotonic() - started, 0.001)
        window = max(window * min(WINDOWS_WIDEN_MAX, max(search.left_s, 0.0) / 2 / took_s), FIRST_WINDOW)
        upper, newest, is_first = Place(lower), lower, False
    return rows, None


async def _window(
    search: _Search, names: Sequence[str], upper: Place, lower: datetime, *, is_first: bool
) -> list[Row]:  # fmt: skip
    """Search one window of time in each table. The first one takes as long as it needs, so that each page goes on."""
    rows: list[Row] = []
    for name in names:
        rows += await search.rows(name, upper, lower, None if is_first else max(search.left_s, 0.001))
    return rows


def _lower_end(newest: datetime, window: timedelta, since: datetime | None) -> tuple[datetime, bool]:
    """Return the oldest time of a window, and whether nothing older is wanted."""
    end = since or BEGINNING
    lower = newest - window if newest - WINDOWS_END > window else BEGINNING
    return (end, True) if lower <= end else (lower, False)


def parameters(query: Query) -> dict[str, Any]:
    """Return the parameters that are the same for each query."""
    wanted_events, wanted_payments = query.events or None, query.payments or None
    by_event = query.events or (() if query.payments else query.ids)
    by_payment = () if query.events else query.payments or query.ids
    return {
        "sources": [_like(each) for each in query.sources.wanted] or None,
        "not_sources": [_like(each) for each in query.sources.refused],
        "types": [_like(each) for each in query.types.wanted] or None,
        "not_types": [_like(each) for each in query.types.refused],
        "namespaces": [_like(each) for each in query.namespaces.wanted] or None,
        "not_namespaces": [_like(each) for each in query.namespaces.refused],
        "events": wanted_events,
        "payments": wanted_payments,
        "ids": query.ids or None,
        "by_event": list(by_event),
        "by_payment": list(by_payment),
        "reasons": [f"%{_escaped(each)}%" for each in query.reasons] or None,
        "origins": query.origins or None,
        "states": [_STATES[status] for status in query.statuses & OF_DEAD_LETTERS],
    }


_STATES = {Status.DEAD: "open", Status.DISCARDED: "discarded", Status.REPLAYED: "replayed"}
_OF_STATES = {state: status for status, state in _STATES.items()}


def _like(pattern: str) -> str:
    return _escaped(pattern).replace("*", "%")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _row(record: "asyncpg.Record[Any]") -> Row:
    values = dict(record)
    status = values.pop("status")
    return Row(status=_OF_STATES.get(status) or Status(status), **values)


async def _with_marks(connection: "Connection", rows: list[Row]) -> list[Row]:
    """Return the rows; applied events that are in conflict, on hold or of the other mode say so."""
    applied = [row for row in rows if row.status is Status.APPLIED]
    if not applied:
        return rows
    names = {"namespace": [row.namespace for row in applied], "event_id": [row.event_id for row in applied]}
    marks = {
        (mark["namespace"], mark["event_id"]): mark
        for mark in await connection.fetch(*SEARCH.bind("read_marks", **names))
    }
    return [_marked(row, marks.get((row.namespace, row.event_id))) for row in rows]


def _marked(row: Row, mark: "asyncpg.Record[Any] | None") -> Row:
    if mark is None or row.status is not Status.APPLIED:
        return row
    return replace(row, status=Status(mark["status"]), reason=mark["reason"])
