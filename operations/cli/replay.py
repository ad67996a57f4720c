"""`replay`: dead letters go into the stream again. Also the sentence and the JSON of each dead letter's outcome."""

import argparse
from collections.abc import AsyncIterator
from typing import Any

from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.cli.dead import no_dead_letter
from operations.dead_letters import (
    FAILED,
    OPEN_AFTER,
    DeadLetterOutcome,
    DeadLetterResult,
    OpenDeadLetter,
    find_dead_letters,
    iterate_open,
    measure_open,
    replay,
)
from operations.servers import LONG_TIMEOUT_S
from sql.connect import Connection

ALL = "all"


async def replay_dead_letters(command: Command) -> int:
    """Replay one dead letter, every one that an event id matches, or all."""
    id_text, keys, act, results = command.arguments.id, command.servers.keys, command.act, []
    async with command.servers.redis() as redis, command.servers.postgres(LONG_TIMEOUT_S) as connection:
        async for dead_letter in await _find(command, connection):
            result = await replay(redis, keys, connection, dead_letter, seen_ttl_s=command.settings.seen_ttl_s, act=act)
            results.append(result)
            print_result(command, result)
    if not results and id_text != ALL:
        return no_dead_letter(id_text)
    if not results and not command.arguments.json:
        command.console.print("No dead letters are open.")
    return end(command, results)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", type=identifier, help="number, entry id or event id, or `all`")
    add_act(parser)


COMMAND = Subcommand("add dead letters to the stream again", _add_arguments, replay_dead_letters)


def print_result(command: Command, result: DeadLetterResult) -> None:
    """Print the outcome for one dead letter as soon as it is known, unless JSON was asked for."""
    if not command.arguments.json:
        command.console.print(_sentence(result))


def end(command: Command, results: list[DeadLetterResult]) -> int:
    """Print the JSON document if it was asked for, and return the exit code."""
    if command.arguments.json:
        command.print_json({"results": [_json(result) for result in results]})
    return EXIT_WRONG if any(result.outcome in FAILED for result in results) else 0


async def _find(command: Command, connection: Connection) -> AsyncIterator[OpenDeadLetter]:
    """Print how many are meant, then return them."""
    id_text = command.arguments.id
    if id_text == ALL:
        meant = await measure_open(connection)
        found, number = iterate_open(connection, meant.last_id), meant.count
    else:
        matching = await find_dead_letters(connection, id_text)
        found, number = _each(matching), len(matching)
    if number > 1 and not command.arguments.json:
        command.console.print(f"{number} dead letters are open and meant; they are replayed one after the other.")
    return found


async def _each(dead_letters: list[OpenDeadLetter]) -> AsyncIterator[OpenDeadLetter]:
    for dead_letter in dead_letters:
        yield dead_letter


def _sentence(result: DeadLetterResult) -> str:
    name = f"Dead letter {result.dead_letter_id} ({result.event})"
    match result.outcome:
        case DeadLetterOutcome.ADDED:
            return f"{name} is in the stream again, as entry {result.entry_id}."
        case DeadLetterOutcome.COMMITTED:
            return f"{name} was committed from another entry already: nothing was added, the dead letter is closed."
        case DeadLetterOutcome.WAITING:
            return f"{name} is in the stream already, as entry {result.entry_id}: nothing was added, it is closed."
        case DeadLetterOutcome.NOT_ACKED_YET:
            return f"{name} is still being acked by a worker: nothing was done; replay it again in a few seconds."
        case DeadLetterOutcome.UNPROVEN:
            return (
                f"{name} is in the stream, as entry {result.entry_id}, but this Redis could not confirm that it is "
                "on disk: the dead letter stays open until a worker has applied the event."
            )
        case DeadLetterOutcome.CLOSED_BEFORE:
            return f"{name} was closed by somebody else meanwhile: nothing was done."
        case DeadLetterOutcome.DISCARDED:
            return f"{name} is discarded: its event is applied only if the provider sends it again."


def _json(result: DeadLetterResult) -> dict[str, Any]:
    return {
        "id": result.dead_letter_id,
        "event": result.event,
        "outcome": result.outcome.value,
        "entry_id": result.entry_id,
        "open": result.outcome in OPEN_AFTER,
    }
