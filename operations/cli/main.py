"""Show what waits and why, and act on dead letters, conflicts and facts on hold.

Exit codes: 0 done; 1 the audit found something, the id is unknown or ambiguous, or something had to stay as it was;
2 wrong usage or settings; 3 Redis or PostgreSQL cannot be reached.
"""

import argparse
import asyncio
import shutil
from collections.abc import Callable, Mapping
from typing import IO, NamedTuple, cast

from rich.console import Console

from consumers.settings import Settings
from operations.cli import (
    accept,
    acknowledge,
    audit,
    bulk,
    confirm,
    conflicts,
    dead,
    erase,
    events,
    log,
    partitions,
    pending,
    reconcile,
    resolve,
    retain,
    status,
    tail,
    why,
)
from operations.cli.command import EXIT_UNREACHABLE, EXIT_USAGE, Command, no_arguments
from operations.log import ActError
from operations.search import QueryError
from runtime.command_line import fail, make_parser
from runtime.terminal import EscapingOutput
from sql.connect import UnreachableError

WIDTH_OF_A_PIPE = 160
"""Columns of a table if stdout is not a terminal and COLUMNS is not set."""

COMMANDS = {
    "status": status.COMMAND,
    "pending": pending.COMMAND,
    "why": why.COMMAND,
    "events": events.COMMAND,
    "tail": tail.COMMAND,
    "dead": dead.COMMAND,
    "replay": bulk.REPLAY,
    "discard": bulk.DISCARD,
    "conflicts": conflicts.COMMAND,
    "resolve": resolve.COMMAND,
    "release": bulk.RELEASE,
    "confirm": confirm.COMMAND,
    "audit": audit.COMMAND,
    "acknowledge": acknowledge.COMMAND,
    "partitions": partitions.COMMAND,
    "log": log.COMMAND,
    "reconcile": reconcile.COMMAND,
    "accept": accept.COMMAND,
    "retain": retain.COMMAND,
    "erase": erase.COMMAND,
}


class Other(NamedTuple):
    """A command that does not run here: its help line and its arguments."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], object] = no_arguments


def parse(argv: list[str], others: Mapping[str, Other] | None = None) -> argparse.Namespace:
    """Parse the command line. Print usage and exit on --help or on errors."""
    parser = make_parser("operations", __doc__ or "")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.help)
        subparser.add_argument("--json", action="store_true", help="print one JSON document, for scripts")
        command.add_arguments(subparser)
    for name, other in (others or {}).items():
        other.add_arguments(subparsers.add_parser(name, help=other.help))
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace, settings: Settings, environment: Mapping[str, str] | None = None) -> int:
    """Run one command and return its exit code. `environment`: what sources.toml refers to."""
    return asyncio.run(run(arguments, settings, environment=environment))


async def run(
    arguments: argparse.Namespace, settings: Settings, console: Console | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:  # fmt: skip
    """Run one command in the current event loop, printing to `console` instead of stdout if given."""
    command = Command(arguments, settings, console or _console(), environment)
    try:
        return await COMMANDS[arguments.command].run(command)
    except ActError as error:
        return fail(f"{error}. Nothing was done.", EXIT_USAGE)
    except QueryError as error:
        return fail(f"{error} Nothing was done.", EXIT_USAGE)
    except UnreachableError as error:
        return fail(f"{error}. `make status` shows what runs, and `make up` starts what does not.", EXIT_UNREACHABLE)


def _console() -> Console:
    # The texts come from outside, so that rich must not read them as markup or emoji.
    width = shutil.get_terminal_size((WIDTH_OF_A_PIPE, 0)).columns  # COLUMNS, else the terminal's, else this
    return Console(file=cast("IO[str]", EscapingOutput()), width=width, markup=False, highlight=False, emoji=False)
