"""Searching: both servers are asked, the rows are merged by time, and one page of them is returned."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from redis.asyncio import Redis

from contract.keys import Keys
from operations.search.postgres import search_postgres
from operations.search.query import Query, Status
from operations.search.row import END_OF_TIME, Found, Place, Row
from operations.search.stream import search_stream
from sql.connect import UnreachableError

if TYPE_CHECKING:
    from sql.connect import Connection

SEARCH_S = 0.2
"""How long one page is searched for. The page says what it could not look at in this time; its next page goes on
there."""


COUNT_S = 2.0
"""How long rows are counted: a count is asked for less often than a page."""


class Reach(Protocol):
    """What opens connections: `Servers`, or the console's site."""

    def postgres(self) -> AbstractAsyncContextManager["Connection"]:
        """Open a connection to Postgres. Raise UnreachableError."""

    def redis(self) -> AbstractAsyncContextManager[Redis]:
        """Open a client of Redis. Raise UnreachableError."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows, the newest first.

    `next` is the cursor of the next page, None at the end. `left_out` has a sentence for each thing that was not looked
    at. A page may have few rows, or none, and a next page all the same.
    """

    rows: list[Row] = field(default_factory=list)
    next: str | None = None
    left_out: list[str] = field(default_factory=list)


async def search(
    reach: Reach, keys: Keys, query: Query, *, limit: int, after: str | None = None, budget_s: float = SEARCH_S
) -> Page:
    """Return one page of up to `limit` rows, after the cursor of the page before.

    If one server cannot be reached, the page has the other one's rows and says so. Raise UnreachableError if that is
    true of both, and QueryError for another text than a cursor.
    """
    place = Place(query.until) if query.until else Place(END_OF_TIME)
    if after is not None:
        place = min(place, Place.of_cursor(after))
    deadline = time.monotonic() + budget_s
    waiting, stored = await asyncio.gather(
        _search_redis(reach, keys, query, place, limit, deadline),
        _search_database(reach, query, place, limit, deadline),
    )
    if isinstance(waiting, UnreachableError) and isinstance(stored, UnreachableError):
        raise stored
    left_out: list[str] = []
    rows: list[Row] = []
    floor: Place | None = None
    if isinstance(waiting, UnreachableError):
        left_out.append(f"{waiting}: entries in the stream are left out.")
    else:
        rows += waiting.rows
        left_out += waiting.left_out
    if isinstance(stored, UnreachableError):
        left_out.append(f"{stored}: only entries in the stream are shown.")
    else:
        applied = {row.entry_id for row in stored.rows if row.status is not Status.REPLAYED}
        rows = [row for row in rows if row.entry_id not in applied] + stored.rows
        left_out += stored.left_out
        floor = stored.floor
    return _page(rows, floor, limit, left_out)


async def count(reach: Reach, keys: Keys, query: Query, *, limit: int, budget_s: float = COUNT_S) -> int:
    """Return how many rows match; it stops at `limit + 1`. Fewer if the time is over, or something is left out."""
    return len((await search(reach, keys, query, limit=limit + 1, budget_s=budget_s)).rows)


def _page(rows: Sequence[Row], floor: Place | None, limit: int, left_out: list[str]) -> Page:
    """Merge the rows. What is older than the floor was not searched everywhere, and belongs to the next page."""
    ordered = sorted(rows, key=lambda row: row.place, reverse=True)
    shown = [row for row in ordered if floor is None or row.place >= floor]
    if len(shown) > limit:
        return Page(shown[:limit], shown[limit - 1].place.as_cursor(), left_out)
    if floor is None:
        return Page(shown, None, left_out)
    unsearched = (
        f"What is older than {floor.at:%Y-%m-%d %H:%M:%S} UTC was not searched yet; the next page goes on there."
    )
    return Page(shown, floor.as_cursor(), [*left_out, unsearched])


async def _search_redis(
    reach: Reach, keys: Keys, query: Query, place: Place, limit: int, deadline: float
) -> Found | UnreachableError:
    if Status.WAITING not in query.statuses:
        return Found()
    try:
        async with reach.redis() as redis:
            return await search_stream(redis, keys, query, place, limit=limit, deadline=deadline)
    except UnreachableError as error:
        return error


async def _search_database(
    reach: Reach, query: Query, place: Place, limit: int, deadline: float
) -> Found | UnreachableError:
    if query.statuses <= {Status.WAITING}:
        return Found()
    try:
        async with reach.postgres() as connection:
            return await search_postgres(connection, query, place, limit=limit, deadline=deadline)
    except UnreachableError as error:
        return error
