"""The key of the payloads, with the time first: each new row is at the right edge of its index.

With a random id first, each event changed another page of a month's index, and the log had that page as a whole after
each checkpoint.
"""

import asyncio

import asyncpg

from sql import FOLDER, load

SWAP = FOLDER / "payload_key.sql"

SWAP_ATTEMPTS = 60
SWAP_PAUSE_S = 1.0
"""A long reader holds the swap up, and workers would wait behind it: it tries for a second, and again later."""

_QUERIES = load("migrations")


async def put_time_first(connection: asyncpg.Connection) -> None:
    """Build the key of each partition while workers write, then swap all of them. Do nothing where that was done.

    It can be interrupted at any moment: the next call goes on. Raise LockNotAvailableError if others never let go.
    """
    if await connection.fetchval(_QUERIES["is_time_first"]):
        return
    for row in await connection.fetch(_QUERIES["list_missing_payload_keys"]):
        await connection.execute(row["drop"], timeout=None)
        await connection.execute(row["build"], timeout=None)
    swap = SWAP.read_text(encoding="utf-8")
    for attempt in range(1, SWAP_ATTEMPTS + 1):
        try:
            await connection.execute(swap)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt == SWAP_ATTEMPTS:
                raise
            await asyncio.sleep(SWAP_PAUSE_S)
        else:
            return
