"""`events`: search for events, the newest first. Also the table and the JSON of a row."""

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from operations.cli.command import Command, Subcommand, add_limit
from operations.search import Page, Query, Row, parse_query, search
from operations.units import printable

REASON_SHOWN_CHARS = 120
"""Characters of the reason in a table."""


async def show_events(command: Command) -> int:
    """Show one page of the events that a query matches."""
    arguments, servers = command.arguments, command.reader()
    query = read_query(arguments.query)
    page = await search(servers, servers.keys, query, limit=arguments.limit, after=arguments.after)
    if arguments.json:
        rows = [row_json(row) for row in page.rows]
        notes = {"left_out": page.left_out, "notes": servers.notes}
        command.print_json({"query": query.text, "events": rows, "next": page.next, **notes})
    else:
        _print(command, page)
        command.print_notes(servers)
    return 0


def add_query(parser: argparse.ArgumentParser) -> None:
    """Add the query."""
    parser.add_argument(
        "query", metavar="QUERY", nargs="?", default="",
        help="such as 'source:stripe type:charge.* status:dead since:2h', or an event or payment id; all if absent",
    )  # fmt: skip


def read_query(text: str) -> Query:
    """Return the query as of now. Raise QueryError."""
    return parse_query(text, datetime.now(UTC))


def row_json(row: Row) -> dict[str, Any]:
    """Return what is known of an event; times in ISO 8601."""
    document = asdict(row)
    del document["key"]
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in document.items()}


def event_name(row: Row) -> str:
    """Return the event's full name, or the entry's id if it is not an envelope."""
    return f"{row.namespace}/{row.event_id}" if row.event_id else f"entry {row.entry_id}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_limit(parser)
    parser.add_argument("--after", help="the mark of the next page, which the page before has shown")
    add_query(parser)


COMMAND = Subcommand("search for events, the newest first", _add_arguments, show_events)


def _print(command: Command, page: Page) -> None:
    if page.rows:
        command.console.print(_table(page.rows))
    elif not page.next:
        command.console.print("No event matches.")
    for sentence in page.left_out:
        command.console.print(sentence)
    if page.next:
        command.console.print(f"The next page: AFTER={page.next}")


def _table(rows: list[Row]) -> Table:
    table = Table("time, status", "event", "type, payment", "reason", title="Events", title_justify="left")
    for row in rows:
        letter = f"dead letter {row.dead_letter_id}: " if row.dead_letter_id else ""
        reason = letter + printable(row.reason or "")[:REASON_SHOWN_CHARS]
        names = f"{row.type or ''}\n{row.payment or ''}"
        status = f"{row.at:%Y-%m-%d %H:%M:%S}\n{row.status.value}"
        table.add_row(status, f"{event_name(row)}\n{row.source or ''}", names, reason)
    return table
