"""Handlers that make the fault that a payment's name begins with, as HANDLERS of a worker: `reject-1`, `slow-7`."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from consumers.handlers import Connection, Event, Handlers, Reject

BLOCK_S = 0.8
"""Longer than HANDLER_BLOCKED_S of the workers that have this handler, and shorter than HANDLER_TIMEOUT_S."""

SLOW_S = 0.05
"""Several times HANDLER_SLOW_MS."""

handlers = Handlers()


@handlers.on_fact("captured")
async def make_fault(_: Connection, event: Event) -> None:
    fault = event.resource.partition("-")[0]
    if fault in FAULTS:
        await FAULTS[fault]()


async def _reject() -> None:
    raise Reject("it says so")


async def _fail() -> None:
    raise RuntimeError("it fails")


async def _block() -> None:
    threading.Event().wait(BLOCK_S)  # the mistake that is tried here


async def _be_slow() -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), SLOW_S)


async def _hang() -> None:
    await asyncio.Event().wait()


FAULTS: dict[str, Callable[[], Awaitable[None]]] = {
    "reject": _reject, "fail": _fail, "block": _block, "slow": _be_slow, "hang": _hang,
}  # fmt: skip
