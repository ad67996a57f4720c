"""Handlers that do not end, each in a way of its own, as HANDLERS of a worker. It writes STUCK when it is in one."""

import asyncio
import sys
import threading

from consumers.handlers import Connection, Event, Handlers

STUCK = "stuck in a handler"

handlers = Handlers()


@handlers.on("stripe", "payment_intent.succeeded")
async def hang(_: Connection, event: Event) -> None:
    sys.stderr.write(f"{STUCK}\n")
    if event.event_id.startswith("evt_thread"):
        await asyncio.to_thread(threading.Event().wait)
    while event.event_id.startswith("evt_stubborn"):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()
