"""`log`: the operators' log, the newest act first."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from operations.cli.command import Command, Subcommand, add_limit
from operations.log import Operation, list_operations


async def show_log(command: Command) -> int:
    """Show one page of the log."""
    before, limit = command.arguments.before, command.arguments.limit
    async with command.servers.postgres() as connection:
        operations = await list_operations(connection, before=before, limit=limit)
    more = operations[-1].id if operations and operations[-1].id > 1 else None
    if command.arguments.json:
        command.print_json({"operations": [asdict(each) for each in operations], "next": more})
    elif operations:
        command.console.print(_table(operations))
        if more:
            command.console.print(f"Older ones: --before {more} (make log BEFORE={more}).")
    else:
        command.console.print("Nothing was done by hand." if before is None else f"The log has no row before {before}.")
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_limit(parser)
    parser.add_argument("--before", metavar="NUMBER", type=_number, help="list those before this number")


COMMAND = Subcommand("show who did what and why, the newest first", _add_arguments, show_log)


def _table(operations: Sequence[Operation]) -> Table:
    table = Table(title="Operators' log", title_justify="left")
    for name in ("number", "when", "who", "what", "touched", "why"):
        table.add_column(name, overflow="fold")  # ids must stay whole to be copied
    for each in operations:
        who = f"{each.actor} ({each.face})"
        what = f"{each.action} {each.subject}"
        table.add_row(str(each.id), f"{each.acted_at:%Y-%m-%d %H:%M:%S}", who, what, str(each.touched), each.reason)
    return table


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= len(text) <= 18:
        raise argparse.ArgumentTypeError(f"'{text}' is not the number of a row")
    return int(text)
