"""Moving events and payments that have been quiet for long into the archive (sql/archive.py)."""

import asyncio
import time

from consumers.maintenance.steps import Done, Step, Turn
from sql.archive import archive

PAUSE_SHARE = 1.0
"""The pause after each part, as a share of the time that it took: workers write meanwhile."""


async def archive_quiet(turn: Turn) -> Done:
    """Move what is old, in parts with pauses between them."""
    after_days = turn.settings.archive_after_days
    if not after_days:
        return Done(0, "nothing is ever archived")
    resumed_s = time.monotonic()

    async def pause() -> None:
        nonlocal resumed_s
        await asyncio.sleep((time.monotonic() - resumed_s) * PAUSE_SHARE)
        await turn.renew()
        resumed_s = time.monotonic()

    done = await archive(
        turn.connection, after_days, before_each=pause, timeout_s=turn.settings.statement_timeout_s
    )  # fmt: skip
    if not done.is_usable:
        return Done(0, "nothing is moved on the day after the upgrade, when workers of before may still run")
    text = f"moved {done.events} events, {done.payments} payments and {done.transfers} transfers"
    text += f" of before {done.quiet_since:%Y-%m-%d}" + (f"; {done.busy} parts were busy" if done.busy else "")
    return Done(done.events + done.payments + done.transfers, text)


ARCHIVE = Step("archive", archive_quiet)
