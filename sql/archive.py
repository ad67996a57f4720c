"""Moving what has been quiet for long out of the tables that workers write to, so that these stay small.

Exactly once does not depend on any time: `SELECT … FROM events` reads both tables, and an event that is in either is
not applied again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from sql import load
from sql.connect import Connection

ROLLING_UPGRADE = timedelta(days=1)
"""After the migration workers of the release before may run so long; they know nothing of the archive."""

EVENT_PAGES = 1000
"""Pages of events that move in one transaction: about 45,000 rows, within a second or two."""

PAYMENT_PAGES = 10
"""Pages of payments that move in one transaction: about 500 payments, whose locks it holds, with their transfers."""

ARCHIVE = load("archive")


@dataclass(slots=True)
class Archived:
    """What a run moved. `busy`: parts left for the next run, because somebody else had a lock.

    `is_usable`: False if nothing may move yet.
    """

    quiet_since: datetime | None = None
    is_usable: bool = True
    events: int = 0
    payments: int = 0
    transfers: int = 0
    busy: int = 0


async def _nothing() -> None:
    """Do nothing before a part."""


async def archive(
    connection: Connection, after_days: int, *, rolling_upgrade: timedelta = ROLLING_UPGRADE,
    before_each: Callable[[], Awaitable[None]] = _nothing, timeout_s: float | None = None,
) -> Archived:  # fmt: skip
    """Move what has been quiet since the beginning of the month in which `after_days` ago was.

    Each part is a transaction of its own, limited by `timeout_s`, so that a run may end anywhere; `before_each` is
    awaited before it. Call it outside a transaction.
    """
    quiet_since, is_usable = await connection.fetchrow(
        *ARCHIVE.bind("find_quiet_since", after_days=after_days, rolling_upgrade=rolling_upgrade)
    )
    done = Archived(quiet_since, is_usable)
    if is_usable:
        await archive_since(
            connection, quiet_since, done, rolling_upgrade=rolling_upgrade, before_each=before_each, timeout_s=timeout_s
        )
    return done


async def archive_since(
    connection: Connection, quiet_since: datetime, done: Archived, *, rolling_upgrade: timedelta = ROLLING_UPGRADE,
    before_each: Callable[[], Awaitable[None]] = _nothing, timeout_s: float | None = None,
) -> None:  # fmt: skip
    """Move what has been quiet since a time, and count it in `done`."""
    pages = await connection.fetchrow(ARCHIVE["count_pages_to_archive"])
    for name, at_once in (("archive_events", EVENT_PAGES), ("archive_payments", PAYMENT_PAGES)):
        for first in range(0, pages[name], at_once):
            await before_each()
            move = ARCHIVE.bind(
                name,
                quiet_since=quiet_since,
                first_page=first,
                end_page=first + at_once,
                rolling_upgrade=rolling_upgrade,
            )
            try:
                moved = await connection.fetchrow(*move, timeout=timeout_s)
            except asyncpg.LockNotAvailableError:
                done.busy += 1
                continue
            for what, count in moved.items():
                setattr(done, what, getattr(done, what) + count)
