"""Replay, discard and release, by id or source as before, or by query: then --yes does what is counted without it."""

import argparse
from collections.abc import Awaitable, Callable
from functools import partial

from consumers.handlers import HandlersError
from contract.accounts import PostingRulesError
from operations import bulk
from operations.cli import discard, release, replay
from operations.cli.command import EXIT_USAGE, EXIT_WRONG, Command, Subcommand
from operations.cli.events import read_query
from operations.cli.release import print_outcome, untrusted_sentence
from operations.cli.replay import end, print_result
from operations.held_back import UntrustedSourceError
from operations.payment_acts import Posting
from operations.units import count
from runtime.command_line import fail
from runtime.settings import SETTINGS_EXIT_CODE


async def act_on_dead_letters(command: Command, verb: str) -> int:
    """Count the dead letters that the query matches; with --yes, replay or discard exactly those."""
    query, act = read_query(command.arguments.query), command.act
    async with command.servers.postgres() as connection:
        selection = await bulk.select_dead_letters(connection, query)
    if not _announce(command, verb, count(selection.count, "dead letter"), selection.count):
        return 0
    act_on = bulk.replay_selected if verb == "replay" else bulk.discard_selected
    results = []
    async for result in act_on(command.servers, selection, act=act):
        results.append(result)
        print_result(command, result)
    return end(command, results)


async def release_by_query(command: Command) -> int:
    """Count the events on hold that the query matches; with --yes, release exactly those."""
    query, act = read_query(command.arguments.query), command.act
    async with command.servers.postgres() as connection:
        selection = await bulk.select_held(connection, query)
    if not _announce(command, "release", count(selection.count, "event on hold", "events on hold"), selection.count):
        return 0
    try:
        posting = Posting.read(command.settings)
        result = await bulk.release_selected(command.servers, posting, selection, act=act)
    except (HandlersError, PostingRulesError) as error:
        return fail(f"{error}. Nothing was released.", SETTINGS_EXIT_CODE)
    except UntrustedSourceError as error:
        return fail(untrusted_sentence(error, command.settings.sources_file), EXIT_WRONG)
    return print_outcome(command, ", ".join(selection.sources), result)


def _with_query(
    single: Subcommand, dest: str, by_query: Callable[[Command], Awaitable[int]]
) -> Subcommand:  # fmt: skip
    """Return the command with --query and --yes."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        single.add_arguments(parser)
        parser.add_argument("--query", help="act on all that it matches, as `events` shows it; say how many first")
        parser.add_argument("--yes", action="store_true", help="with --query: do it, instead of only counting")

    async def run(command: Command) -> int:
        if bool(command.arguments.query) == bool(getattr(command.arguments, dest)):
            return fail(f"Name one by {dest.upper()}, or several by --query. Nothing was done.", EXIT_USAGE)
        return await (by_query if command.arguments.query else single.run)(command)

    return Subcommand(single.help, add_arguments, run)


def _announce(command: Command, verb: str, what: str, number: int) -> bool:
    """Print how many it is about, and return whether to go on."""
    goes_on = bool(command.arguments.yes and number)
    if command.arguments.json:
        if not goes_on:
            command.print_json({"matches": number, "done": False})
    elif not number:
        command.console.print(f"No {what.partition(' ')[2]} match; nothing was done.")
    elif not goes_on:
        command.console.print(f"{verb} by query would touch {what}. Nothing was done; YES=1 (--yes) goes on.")
    else:
        command.console.print(f"{verb} by query touches {what}.")
    return goes_on


REPLAY = _with_query(replay.COMMAND, "id", partial(act_on_dead_letters, verb="replay"))
DISCARD = _with_query(discard.COMMAND, "id", partial(act_on_dead_letters, verb="discard"))
RELEASE = _with_query(release.COMMAND, "source", release_by_query)
