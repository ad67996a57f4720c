"""`release`: a trusted source's facts on hold as unsigned are booked."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from consumers.handlers import HandlersError
from contract.accounts import PostingRulesError
from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.held_back import Release, UntrustedSourceError, count_unsigned, release_source
from operations.payment_acts import Posting
from operations.units import count
from runtime.command_line import fail
from runtime.settings import SETTINGS_EXIT_CODE


async def release_held_back(command: Command) -> int:
    """Release all unsigned facts of one source. Events that fail stay on hold."""
    source, act = command.arguments.source, command.act
    try:
        posting = Posting.read(command.settings)
    except (HandlersError, PostingRulesError) as error:
        return fail(f"{error}. Nothing was released.", SETTINGS_EXIT_CODE)
    if not command.arguments.json:
        await _print_count(command, source)
    try:
        release = await release_source(command.servers, posting, source, act=act)
    except UntrustedSourceError as error:
        return fail(untrusted_sentence(error, command.settings.sources_file), EXIT_WRONG)
    return print_outcome(command, source, release)


def print_outcome(command: Command, source: str, release: Release) -> int:
    """Print the effects of a release, and return the exit code."""
    if command.arguments.json:
        command.print_json(_json(release))
    else:
        _print_release(command.console, source, release)
    for event_id, reason in release.failed:
        fail(f"{event_id} stays on hold: {reason}.", EXIT_WRONG)
    return EXIT_WRONG if release.failed else 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", nargs="?", type=identifier, help="its name in sources.toml")
    add_act(parser)


COMMAND = Subcommand(
    "book facts on hold as unsigned, for a source that is trusted now", _add_arguments, release_held_back
)


async def _print_count(command: Command, source: str) -> None:
    async with command.servers.postgres() as connection:
        number = await count_unsigned(connection, source)
    if number:
        command.console.print(f"On hold as unsigned: {count(number, 'event')} of source {source!r}.")


def _print_release(console: Console, source: str, release: Release) -> None:
    if not release.released:
        console.print(f"Nothing more is on hold as unsigned for source {source!r}.")
        return
    console.print(
        f"{count(release.released, 'event')} of source {source!r} released; {count(release.booked, 'transfer')} booked."
    )
    if release.conflicts:
        console.print(f"{count(release.conflicts, 'conflict')} found in them: `conflicts` lists them.")


def _json(release: Release) -> dict[str, Any]:
    failed = [{"event_id": event_id, "reason": reason} for event_id, reason in release.failed]
    return {"released": release.released, "booked": release.booked, "conflicts": release.conflicts, "failed": failed}


def untrusted_sentence(error: UntrustedSourceError, sources_file: Path) -> str:
    """Return why nothing was released, and what to change."""
    source = error.source
    if source not in error.known:
        names = ", ".join(error.known) or "none"
        return f"Nothing was released: {sources_file} has no source {source!r}; there are: {names}."
    return (
        f'Nothing was released of source {source!r}, because its trust is "signed". To let its unsigned facts '
        f'move money, set trust = "all" under [{source}] in {sources_file}, restart the workers, and release it then.'
    )
