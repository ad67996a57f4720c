"""Following what happens: a search of the last seconds, once a second, that returns each row once."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from contract.keys import Keys
from operations.search.find import Page, Reach, search
from operations.search.query import Query
from operations.search.row import Row
from sql.connect import UnreachableError

POLL_S = 1.0
"""The pause between two searches."""

OVERLAP = timedelta(seconds=30)
"""How far each search looks back: a transaction can be seen only some time after its time of commit."""

FOLLOWED_MAX = 500
"""The most rows of one search. What is beyond them is not shown."""


async def follow(
    reach: Reach, keys: Keys, query: Query, stop: asyncio.Event, *, poll_s: float = POLL_S
) -> AsyncGenerator[Row | str, None]:
    """Yield the rows from now on, the oldest first, and a sentence when something is left out; until `stop` is set."""
    begun, seen, notes = query.since or datetime.now(UTC), dict[str, datetime](), list[str]()
    while not stop.is_set():
        since = max(begun, datetime.now(UTC) - OVERLAP) if seen else begun
        page = await _look(reach, keys, replace(query, since=since))
        for note in page.left_out:
            if note not in notes:
                yield note
        notes = page.left_out
        for row in reversed(page.rows):
            if row.key not in seen:
                yield row
        seen = {key: at for key, at in seen.items() if at >= since} | {row.key: row.at for row in page.rows}
        try:
            await asyncio.wait_for(stop.wait(), poll_s)
        except TimeoutError:
            continue


async def _look(reach: Reach, keys: Keys, query: Query) -> Page:
    try:
        page = await search(reach, keys, query, limit=FOLLOWED_MAX)
    except UnreachableError as error:
        return Page(left_out=[f"{error}."])
    if page.next is None or len(page.rows) < FOLLOWED_MAX:
        return page
    return replace(
        page, left_out=[f"More than {FOLLOWED_MAX} events at once: older ones are left out; narrow the query."]
    )
