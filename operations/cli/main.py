"""`python -m consumers status|pending|why|dead|replay|discard|conflicts|resolve|release|audit`: see and act.

Exit codes: 0 done; 1 the audit found something, or there is no such dead letter or conflict, or one had to stay open,
or nobody knows the id; 2 wrong usage or settings; 3 Redis or PostgreSQL cannot be reached.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, get_args

from rich.console import Console

from consumers.settings import Settings
from operations import status
from operations.cli import pending as report
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG, LONG_TIMEOUT_S, Command, fail
from operations.cli.conflicts import release_held_back, resolve_conflicts, show_conflicts
from operations.cli.dead import discard_letter, replay_letters, show_dead
from operations.cli.why import show_why
from operations.conflicts import Keep
from operations.pending import list_waiting
from operations.pending_reason import Limits
from operations.stream_accounting import CHECKS, Sums, account
from sql.audit import INVARIANTS, Finding, audit
from sql.connect import UnreachableError
from sql.report import findings_json, print_findings

ROWS_SHOWN = 50
"""How many pending entries, dead letters or conflicts are listed unless --limit says otherwise."""

ROWS_SHOWN_MAX = 10_000
"""The most that --limit may ask for."""

WIDTH_OF_A_PIPE = 160
"""Columns of a table that is not shown on a terminal."""


async def show_status(command: Command) -> int:
    """Both halves; the one that can be reached is shown even where the other cannot."""
    document: dict[str, Any] = {}
    problems: list[str] = []

    async def half(name: str, look: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        try:
            document[name] = await look()
        except UnreachableError as error:
            problems.append(f"{error}.")
            document[name] = {"reachable": False, "problem": str(error)}

    async def of_redis() -> dict[str, Any]:
        async with command.redis() as redis:
            seen = await status.look_at_redis(redis, command.keys)
        if not command.arguments.json:
            status.print_redis(command.console, seen)
        return status.redis_json(seen)

    async def of_postgres() -> dict[str, Any]:
        async with command.postgres() as connection:
            seen = await status.look_at_postgres(connection)
        if not command.arguments.json:
            status.print_postgres(command.console, seen)
        return status.postgres_json(seen)

    await half("redis", of_redis)
    await half("postgres", of_postgres)
    if command.arguments.json:
        command.print_json(document)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return EXIT_UNREACHABLE if problems else 0


async def show_pending(command: Command) -> int:
    """What waits, and why."""
    limits = Limits(command.settings.claim_idle_ms, command.settings.max_attempts)
    async with command.redis() as redis:
        page = await list_waiting(redis, command.keys, limits, limit=command.arguments.limit)
    if command.arguments.json:
        command.print_json(report.pending_json(page))
    else:
        report.print_pending(command.console, page)
    return 0


async def run_audit(command: Command) -> int:
    """Postgres' invariants, then the account of the stream; the first also where Redis cannot be reached."""
    async with command.postgres(LONG_TIMEOUT_S) as connection:
        findings = await audit(connection, timeout_s=LONG_TIMEOUT_S)
        try:
            async with command.redis() as redis:
                sums, more = await account(redis, command.keys, connection, timeout_s=LONG_TIMEOUT_S)
        except UnreachableError as error:
            _print_audit(command, findings, None, len(INVARIANTS))
            return fail(f"{error}. The stream was not accounted for.", EXIT_UNREACHABLE)
    _print_audit(command, [*findings, *more], report.sums_sentence(sums), len(INVARIANTS) + CHECKS, sums)
    return EXIT_WRONG if findings or more else 0


def _print_audit(
    command: Command, findings: list[Finding], account_text: str | None, checked: int, sums: Sums | None = None
) -> None:
    if command.arguments.json:
        account_document = {"added": sums.added, "recorded": sums.recorded, "waiting": sums.waiting} if sums else None
        command.print_json(findings_json(findings, checked) | {"account": account_document})
        return
    if account_text:
        command.console.print(account_text)
    print_findings(command.console, findings, checked)


COMMANDS: dict[str, tuple[Callable[[Command], Awaitable[int]], str]] = {
    "status": (show_status, "backlog, lag, pending, workers, dead letters, and both servers"),
    "pending": (show_pending, "what was read and not committed, the oldest first, and why it waits"),
    "dead": (show_dead, "the open dead letters; with ID one of them in full"),
    "replay": (replay_letters, "puts dead letters into the stream again"),
    "discard": (discard_letter, "gives one dead letter up"),
    "conflicts": (show_conflicts, "what contradicts and waits for a decision, and what is held back"),
    "resolve": (resolve_conflicts, "decides about one conflict, or about all of a payment, and releases what waited"),
    "release": (release_held_back, "books what was held back as unsigned, for a source that is trusted now"),
    "audit": (run_audit, "looks for rows that must not exist and entries that are not accounted for; exit 1 if any"),
    "why": (show_why, "everything known about one event or payment, and the next step where it is stuck"),
}


def parse(argv: list[str]) -> argparse.Namespace:
    """Reads a command line; tells its usage and exits where it asks for that, or is none."""
    return _parser().parse_args(argv)


def main(arguments: argparse.Namespace, settings: Settings) -> int:
    """Runs one command and returns its exit code."""
    return asyncio.run(run(arguments, settings))


async def run(arguments: argparse.Namespace, settings: Settings, console: Console | None = None) -> int:
    """The same within a running loop. `console` is where it prints, stdout unless given."""
    command = Command(arguments, settings, console or _console())
    try:
        return await COMMANDS[arguments.command][0](command)
    except UnreachableError as error:
        return fail(f"{error}.", EXIT_UNREACHABLE)


def _console() -> Console:
    # What is shown comes from strangers: it is not read as markup, and its colons are not emoji.
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    return Console(width=width, markup=False, highlight=False, emoji=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m consumers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    added = {name: commands.add_parser(name, help=text) for name, (_, text) in COMMANDS.items()}
    for command in added.values():
        command.add_argument("--json", action="store_true", help="for scripts")
    for name in ("pending", "dead", "conflicts"):
        added[name].add_argument(
            "--limit", type=_limit, default=ROWS_SHOWN, help=f"rows to list, {ROWS_SHOWN} if absent"
        )
    added["why"].add_argument(
        "id",
        metavar="ID",
        type=_printable,
        help="an event's, payment's, dispute's, movement's or entry's; or namespace/ID",
    )
    added["dead"].add_argument("id", metavar="ID", nargs="?", help="number, entry id or event id")
    added["replay"].add_argument("id", metavar="ID", help="number, entry id or event id, or `all`")
    added["discard"].add_argument("id", metavar="ID", help="number, entry id or event id")
    added["resolve"].add_argument("id", metavar="ID", help="number of a conflict, or id of a payment")
    added["resolve"].add_argument("--keep", choices=get_args(Keep), required=True, help="which of the two is right")
    added["release"].add_argument("source", metavar="SOURCE", help="its name in sources.toml")
    return parser


def _printable(text: str) -> str:
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError("no id has such characters")
    return text


def _limit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= ROWS_SHOWN_MAX:
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and {ROWS_SHOWN_MAX}")
    return number
