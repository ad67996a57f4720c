"""One run of a command: its arguments, the servers, and where it prints."""

import argparse
import getpass
import json
import os
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from rich.console import Console

from consumers.settings import Settings
from operations.log import Act
from operations.reader import Reader
from operations.servers import Servers

EXIT_WRONG = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

ROWS_SHOWN = 50
"""Rows that a list shows without --limit."""

ROWS_SHOWN_MAX = 10_000
"""The largest --limit."""


class Command:
    """One run: its arguments, the servers, and where it prints. `environment`: what sources.toml refers to."""

    def __init__(
        self, arguments: argparse.Namespace, settings: Settings, console: Console,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.arguments = arguments
        self.settings = settings
        self.environment = environment or {}
        self.console = console
        self.servers = Servers(settings)

    def reader(self, *, complete: bool = False) -> Reader:
        """Return what a command reads with that neither acts nor shows what an act would do."""
        return Reader(self.servers, complete=complete)

    def print_notes(self, reader: Reader) -> None:
        """Print where it was read, if not all was as it should be."""
        for note in reader.notes:
            self.console.print(f"Note: {note}")

    @property
    def act(self) -> Act:
        """Who runs this command and why, for commands with `add_act`. Raise ActError."""
        return Act(self.arguments.actor or _user_of_the_system(), self.arguments.reason or "", "command")

    def print_json(self, document: dict[str, Any]) -> None:
        """Write one document to stdout."""
        self.console.file.write(json.dumps(document, indent=2, default=str) + "\n")

    def print_more(self, total: int, shown: int) -> None:
        """Print how many rows --limit left out, if it left out any."""
        if total > shown:
            self.console.print(f"… and {total - shown} more; use a larger --limit to see them.")


class Subcommand(NamedTuple):
    """A command as `main` lists it: its help line, its arguments besides --json, and what runs it."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[Command], Awaitable[int]]


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add --limit, for commands that print a list."""
    parser.add_argument("--limit", type=_limit, default=ROWS_SHOWN, help=f"rows to list, {ROWS_SHOWN} if absent")


def add_act(parser: argparse.ArgumentParser, *, needs_reason: bool = False) -> None:
    """Add --actor and --reason, for commands that change something."""
    parser.add_argument("--actor", type=_not_empty, help="who does it; ACTOR, else the user of the system")
    parser.add_argument(
        "--reason", required=needs_reason, type=_not_empty, help="why: it is kept, and nobody can change it"
    )


def no_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing, for commands without arguments of their own."""


def identifier(text: str) -> str:
    """Convert an argument that names something a sender chose: any text, also beyond ASCII, without control characters.

    Bytes that are no UTF-8 arrive as lone surrogates, which no id has.
    """
    if not text or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise argparse.ArgumentTypeError("an id is not empty, is UTF-8, and has no control characters")
    return text


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text.strip()


def _user_of_the_system() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def _limit(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
    if not 1 <= number <= ROWS_SHOWN_MAX:
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and {ROWS_SHOWN_MAX}")
    return number
