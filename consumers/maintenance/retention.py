"""What is kept for some days only: payloads by month, duplicates, and dead letters that a person has closed.

Each is removed by a function of the tables' owner, which checks by itself that it is old enough. What the account of
the stream needs of a removed row is counted in `removed_entries`.
"""

import asyncio
import random

import asyncpg

from consumers.maintenance.steps import Done, Step, StepError, Turn
from consumers.stream_stats import read_all_stats
from contract.keys import entry_number
from sql import load

CONFIRMATIONS = load("confirmations")

ROWS_AT_ONCE = 1000
"""Payloads or dead letters of one transaction."""

PAGES_AT_ONCE = 256
"""Pages of the duplicates read in one transaction: 2 MiB, some 20,000 rows."""

LOCK_ATTEMPTS = 30
"""How often a month is tried to be dropped. Each attempt waits a tenth of a second for its lock."""

LOCK_PAUSE_S = 1.0
"""The pause between two attempts, jittered."""

MIB = 1024 * 1024

FOR_EVER = Done(0, "kept for ever")


async def drop_old_payloads(turn: Turn) -> Done:
    """Drop each month whose payloads are all too old; delete old ones of the partition without a month."""
    kept_days = turn.settings.payloads_kept_days
    if not kept_days:
        return FOR_EVER
    names, bytes_, moved, deleted = [], 0, 0, 0
    while month := await _drop_oldest_month(turn, kept_days):
        names.append(month["dropped"])
        bytes_ += month["bytes"]
        moved += month["moved"]
    rows = ROWS_AT_ONCE
    while rows == ROWS_AT_ONCE:
        await turn.renew()
        rows = (await turn.fetch("delete_default_payloads", kept_days=kept_days, rows_max=ROWS_AT_ONCE))["deleted"]
        deleted += rows
    fetched = await _remove_old_fetched(turn, kept_days)
    text = f"dropped {', '.join(names)} ({bytes_ / MIB:.1f} MiB)" if names else "no month is old enough"
    text += f", kept {moved} payloads of them that a decision needs" if moved else ""
    text += f", deleted {deleted} payloads of no month" if deleted else ""
    text += f", removed {fetched} objects that APIs confirmed events with" if fetched else ""
    return Done(len(names) + deleted + fetched, text)


async def _remove_old_fetched(turn: Turn, kept_days: int) -> int:
    """Remove what APIs said about events, as it was fetched, and return how many there were: it is as personal."""
    total, rows = 0, ROWS_AT_ONCE
    while rows == ROWS_AT_ONCE:
        await turn.renew()
        query = CONFIRMATIONS.bind("remove_old_fetched", kept_days=kept_days, rows_max=ROWS_AT_ONCE)
        rows = await turn.connection.fetchval(*query, timeout=turn.settings.statement_timeout_s)
        total += rows
    return total


async def _drop_oldest_month(turn: Turn, kept_days: int) -> "asyncpg.Record[object] | None":
    for attempt in range(LOCK_ATTEMPTS):
        await turn.renew()
        if attempt:
            await asyncio.sleep(LOCK_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        try:
            return await turn.fetch("drop_payload_partition", kept_days=kept_days)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            continue
        except asyncpg.RaiseError as error:
            raise StepError(str(error)) from error
    raise StepError(
        f"the table payloads was in use in each of {LOCK_ATTEMPTS} attempts to drop a month: somebody reads it for long"
    )


async def remove_old_duplicates(turn: Turn) -> Done:
    """Remove old rows of duplicates, from the table's beginning to its end."""
    kept_days, removed = turn.settings.duplicates_kept_days, 0
    if not kept_days:
        return FOR_EVER
    before = await find_oldest_entry(turn)
    if before is None:
        return Done(0, "there is no stream, so that nothing is removed")
    pages = (await turn.fetch("count_pages_of_duplicates"))["pages"]
    for first in range(0, pages, PAGES_AT_ONCE):
        await turn.renew()
        row = await turn.fetch("remove_duplicates", kept_days=kept_days, before_entry=before, first_page=first,
                               end_page=first + PAGES_AT_ONCE)  # fmt: skip
        removed += row["removed"]
    return Done(removed, f"removed {removed}")


async def remove_old_dead_letters(turn: Turn) -> Done:
    """Remove dead letters that were replayed or discarded long ago. Open ones stay."""
    kept_days, removed, rows = turn.settings.dead_letters_kept_days, 0, ROWS_AT_ONCE
    if not kept_days:
        return FOR_EVER
    before = await find_oldest_entry(turn)
    if before is None:
        return Done(0, "there is no stream, so that nothing is removed")
    while rows == ROWS_AT_ONCE:
        await turn.renew()
        row = await turn.fetch("remove_dead_letters", kept_days=kept_days, before_entry=before, rows_max=ROWS_AT_ONCE)
        rows = row["removed"]
        removed += rows
    return Done(removed, f"removed {removed} that were closed")


async def find_oldest_entry(turn: Turn) -> str | None:
    """Return the id before which no entry can be in a stream of any partition; None if there is no stream.

    An entry that is still there may be read again, and would be recorded, and counted, a second time.
    """
    stream = (await read_all_stats(turn.redis, turn.keys)).stream
    if stream is None:
        return None
    if stream.oldest_id:
        return stream.oldest_id
    milliseconds, number = entry_number(stream.last_id)
    return f"{milliseconds}-{number + 1}"


PAYLOADS = Step("payloads", drop_old_payloads)
DUPLICATES = Step("duplicates", remove_old_duplicates)
DEAD_LETTERS = Step("dead_letters", remove_old_dead_letters)
