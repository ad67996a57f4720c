"""`dead`: the open dead letters, or one in full."""

import argparse
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_limit, identifier
from operations.dead_letters import DeadLetterSummary, OpenDeadLetter, find_dead_letters, list_dead_letters
from operations.units import count, printable
from runtime.command_line import fail

REASON_SHOWN_CHARS = 200
"""Characters of the reason in a table; `dead ID` shows all of it."""


async def show_dead(command: Command) -> int:
    """Show the open dead letters, or those that an id matches in full."""
    async with command.servers.postgres() as connection:
        if command.arguments.id:
            return _show_in_full(command, await find_dead_letters(connection, command.arguments.id))
        total, dead_letters = await list_dead_letters(connection, limit=command.arguments.limit)
    if command.arguments.json:
        command.print_json({"open": total, "dead_letters": [asdict(each) for each in dead_letters]})
    elif dead_letters:
        command.console.print(_table(dead_letters))
        command.print_more(total, len(dead_letters))
        command.console.print("`dead ID` shows one in full, `replay ID` adds it to the stream again, `discard ID` "
                              "closes it for good.")  # fmt: skip
    else:
        command.console.print("No dead letters are open.")
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_limit(parser)
    parser.add_argument("id", metavar="ID", type=identifier, nargs="?", help="number, entry id or event id")


COMMAND = Subcommand("show the open dead letters; with ID one of them in full", _add_arguments, show_dead)


def no_dead_letter(id_text: str) -> int:
    """Write that no open dead letter matches, and return the exit code."""
    sentence = f"There is no open dead letter with the number, entry id or event id {id_text!r}. `dead` lists them all."
    return fail(sentence, EXIT_WRONG)


def _show_in_full(command: Command, dead_letters: list[OpenDeadLetter]) -> int:
    if command.arguments.json:
        command.print_json({"dead_letters": [_json(each) for each in dead_letters]})
    else:
        for each in dead_letters:
            _print_in_full(command.console, each)
    return 0 if dead_letters else no_dead_letter(command.arguments.id)


def _table(dead_letters: list[DeadLetterSummary]) -> Table:
    table = Table("ID", "died", "event", "attempts", "reason", title="Dead letters", title_justify="left")
    for each in dead_letters:
        event = f"{each.namespace}/{each.event_id}\n{each.type}\n{each.resource}"
        if each.event_id is None:
            event = f"not an envelope\n{each.entry_id}"
        reason = printable(each.reason)[:REASON_SHOWN_CHARS]
        table.add_row(str(each.id), f"{each.died_at:%Y-%m-%d %H:%M:%S}", event, str(each.attempts), reason)
    return table


def _print_in_full(console: Console, dead_letter: OpenDeadLetter) -> None:
    console.print(
        f"Dead letter {dead_letter.id}: {dead_letter.event}, type {dead_letter.type}, resource {dead_letter.resource}"
    )
    console.print(
        f"entry {dead_letter.entry_id} of source {dead_letter.source}, died {dead_letter.died_at:%Y-%m-%d %H:%M:%S %Z}"
    )
    console.print(f"after {count(dead_letter.attempts, 'attempt')}: {printable(dead_letter.reason)}\n")
    console.print(printable(dead_letter.traceback))


def _json(dead_letter: OpenDeadLetter) -> dict[str, Any]:
    """Return all but the entry's fields, whose body may hold personal data."""
    document = asdict(dead_letter)
    del document["fields"]
    return document
