"""Background tasks and their end."""

import asyncio
from typing import Any

CANCEL_AGAIN_S = 0.5
"""A cancelled task that still runs after this time is cancelled again."""


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel a task until it has ended. Raise what it raised, other than the cancellation.

    One cancellation may be lost: in Python 3.11 `wait_for`, which redis-py uses, swallows one that arrives while its
    result does.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
    if not task.cancelled():
        task.result()
