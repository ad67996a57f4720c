"""`tail`: follow what happens, one line an event and state, until Ctrl-C."""

import asyncio
import json

from operations.cli.command import Command, Subcommand
from operations.cli.events import add_query, event_name, read_query, row_json
from operations.search import Row, Status, follow
from operations.units import printable
from runtime.leaving import Leaving

REASON_SHOWN_CHARS = 200
"""Characters of the reason in a line."""

SAID = {Status.WAITING: "accepted"}
"""What a line says instead of the status: an entry is seen when it is added."""


async def follow_events(command: Command) -> int:
    """Print each event that is accepted, applied or dead-lettered from now on. End with 0 on SIGINT and SIGTERM."""
    query, stop = read_query(command.arguments.query), asyncio.Event()
    Leaving(stop.set, 0).on_signals()
    async for each in follow(command.servers, command.servers.keys, query, stop):
        _print(command, each)
    return 0


COMMAND = Subcommand("follow the events that are accepted, applied or dead-lettered", add_query, follow_events)


def _print(command: Command, each: Row | str) -> None:
    output = command.console.file
    if command.arguments.json:
        document = {"note": each} if isinstance(each, str) else row_json(each)
        output.write(json.dumps(document, default=str) + "\n")
    else:
        output.write(f"{each if isinstance(each, str) else _line(each)}\n")
    output.flush()


def _line(row: Row) -> str:
    """Return one line, in which nothing breaks the line."""
    reason = printable(row.reason or "").replace("\n", " ")[:REASON_SHOWN_CHARS]
    parts = [f"{row.at:%H:%M:%S}", SAID.get(row.status, row.status.value).ljust(10), event_name(row), row.type,
             row.payment, reason]  # fmt: skip
    return "  ".join(part for part in parts if part)
