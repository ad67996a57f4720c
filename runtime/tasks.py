"""Ending a task of ours for certain."""

import asyncio
from typing import Any

CANCEL_AGAIN_S = 0.5
"""After so long a task that still runs is cancelled again."""


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancels a task until it has ended. Raises what it raised, if that is not the cancellation.

    One cancellation may get lost: in Python 3.11 `wait_for`, which redis-py uses, swallows one that comes at the moment
    when what it waits for is done.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
    if not task.cancelled():
        task.result()
