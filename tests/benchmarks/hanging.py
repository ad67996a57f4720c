"""A handler that writes one row for each event, and hangs for some."""

import asyncio

from consumers.handlers import Connection, Event, Handlers

PREFIX = "evt_hangs_"
TABLE = "CREATE TABLE handled (event_id text PRIMARY KEY)"
COUNT = "SELECT count(*) FROM handled"

handlers = Handlers()


@handlers.on("stripe", "payment_intent.succeeded")
async def write(connection: Connection, event: Event) -> None:
    """Write a row, or wait for what never comes."""
    if event.event_id.startswith(PREFIX):
        await asyncio.Event().wait()
    await connection.execute("INSERT INTO handled VALUES ($1)", event.event_id)
