"""Moving what has been quiet for long out of the tables that workers write to, so that these stay small.

Exactly once does not depend on any time: `events` reads both tables, and an event is claimed in none of them twice.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from sql import load
from sql.connect import Connection

ROLLING_UPGRADE = timedelta(days=1)
"""After the migration workers of the release before may run so long; they know nothing of the archive."""

EVENT_PAGES = 1000
"""Pages of events that move in one transaction: about 45,000 rows, within a second or two."""

ARCHIVE = load("archive")


@dataclass(slots=True)
class Archived:
    """What a run moved. `busy`: pages left for the next run, because somebody else had a lock.

    `is_usable`: False if nothing may move yet.
    """

    quiet_since: datetime | None = None
    is_usable: bool = True
    events: int = 0
    busy: int = 0


async def archive(
    connection: Connection, after_days: int, *, rolling_upgrade: timedelta = ROLLING_UPGRADE
) -> Archived:  # fmt: skip
    """Move what has been quiet since the beginning of the month in which `after_days` ago was.

    Each part is a transaction of its own, so that a run may end anywhere. Call it outside a transaction.
    """
    quiet_since, is_usable = await connection.fetchrow(
        *ARCHIVE.bind("find_quiet_since", after_days=after_days, rolling_upgrade=rolling_upgrade)
    )
    done = Archived(quiet_since, is_usable)
    if is_usable:
        await archive_since(connection, quiet_since, done, rolling_upgrade=rolling_upgrade)
    return done


async def archive_since(
    connection: Connection, quiet_since: datetime, done: Archived, *, rolling_upgrade: timedelta = ROLLING_UPGRADE,
    event_pages: int = EVENT_PAGES,
) -> None:  # fmt: skip
    """Move what has been quiet since a time, and count it in `done`."""
    if not await connection.fetchval(*ARCHIVE.bind("is_event_quiet", quiet_since=quiet_since)):
        return
    pages = await connection.fetchrow(ARCHIVE["count_pages_to_archive"])
    for first in range(0, pages["events"], event_pages):
        move = ARCHIVE.bind(
            "archive_events", quiet_since=quiet_since, first_page=first, end_page=first + event_pages,
            rolling_upgrade=rolling_upgrade,
        )  # fmt: skip
        try:
            done.events += await connection.fetchval(*move)
        except asyncpg.LockNotAvailableError:
            done.busy += 1
