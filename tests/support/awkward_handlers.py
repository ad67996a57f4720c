"""Handlers that hang or block the event loop now and then, at random, as HANDLERS of a worker."""

import asyncio
import random
import threading

from consumers.handlers import Connection, Event, Handlers

HANGS = 0.02
BLOCKS = 0.003
BLOCK_S = 30.0

handlers = Handlers()


@handlers.on_fact("captured")
async def hang_or_block(_: Connection, __: Event) -> None:
    chance = random.random()
    if chance < BLOCKS:
        threading.Event().wait(BLOCK_S)  # the mistake that is tried here
    elif chance < BLOCKS + HANGS:
        await asyncio.Event().wait()
