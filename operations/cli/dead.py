"""`dead`, `replay` and `discard`."""

from collections.abc import AsyncIterator

from operations.cli import pending as report
from operations.cli.command import EXIT_WRONG, LONG_TIMEOUT_S, Command, fail
from operations.dead_letters import (
    DEAD_LETTERS,
    OPEN_AFTER,
    DeadLetter,
    Outcome,
    Result,
    all_open,
    discard,
    find,
    replay,
)

ALL = "all"


async def show_dead(command: Command) -> int:
    """The open dead letters, or one in full."""
    if command.arguments.id:
        return await _show_letters(command)
    async with command.postgres() as connection:
        total = await connection.fetchval(DEAD_LETTERS["count_open_dead_letters"])
        letters = await connection.fetch(DEAD_LETTERS["list_dead_letters"], command.arguments.limit)
    if command.arguments.json:
        command.print_json({"open": total, "dead_letters": [dict(letter) for letter in letters]})
    else:
        report.print_dead(command.console, letters, total)
    return 0


async def _show_letters(command: Command) -> int:
    async with command.postgres() as connection:
        letters = await find(connection, command.arguments.id)
    if command.arguments.json:
        command.print_json({"dead_letters": [report.letter_json(letter) for letter in letters]})
    else:
        for letter in letters:
            report.print_letter(command.console, letter)
    return 0 if letters else _no_such_letter(command.arguments.id)


async def replay_letters(command: Command) -> int:
    """One letter, all that an event id means, or all."""
    wanted = command.arguments.id
    async with command.redis() as redis, command.postgres(LONG_TIMEOUT_S) as connection:
        letters = all_open(connection) if wanted == ALL else _each(await find(connection, wanted))
        results = []
        async for letter in letters:
            done = await replay(redis, command.keys, connection, letter, seen_ttl_s=command.settings.seen_ttl_s)
            results.append(done)
            _say(command, done)
    if not results and wanted != ALL:
        return _no_such_letter(wanted)
    return _end(command, results)


async def discard_letter(command: Command) -> int:
    """Exactly one letter: what is given up is named, not guessed."""
    async with command.postgres() as connection:
        letters = await find(connection, command.arguments.id)
        if not letters:
            return _no_such_letter(command.arguments.id)
        if len(letters) > 1:
            numbers = ", ".join(str(letter.id) for letter in letters)
            return fail(f"{command.arguments.id} means several dead letters: {numbers}. Nothing was done; name one.")
        done = await discard(connection, letters[0])
    _say(command, done)
    return _end(command, [done])


def _say(command: Command, result: Result) -> None:
    if not command.arguments.json:
        command.console.print(report.result_sentence(result))


def _end(command: Command, results: list[Result]) -> int:
    if command.arguments.json:
        command.print_json({"results": [report.result_json(result) for result in results]})
    elif not results:
        command.console.print("No dead letters are open.")
    undone = OPEN_AFTER | {Outcome.CLOSED_BEFORE}
    return EXIT_WRONG if any(result.outcome in undone for result in results) else 0


async def _each(letters: list[DeadLetter]) -> AsyncIterator[DeadLetter]:
    for letter in letters:
        yield letter


def _no_such_letter(wanted: str) -> int:
    return fail(f"There is no open dead letter with the number, entry id or event id {wanted!r}.", EXIT_WRONG)
