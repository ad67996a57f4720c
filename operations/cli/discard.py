"""`discard`: one dead letter is closed without a replay."""

import argparse

from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.cli.dead import no_dead_letter
from operations.cli.replay import end, print_result
from operations.dead_letters import discard, find_dead_letters
from runtime.command_line import fail


async def discard_dead_letter(command: Command) -> int:
    """Discard exactly one dead letter. An id that matches several is refused."""
    id_text, act = command.arguments.id, command.act
    async with command.servers.postgres() as connection:
        dead_letters = await find_dead_letters(connection, id_text)
        if not dead_letters:
            return no_dead_letter(id_text)
        if len(dead_letters) > 1:
            numbers = ", ".join(str(each.id) for each in dead_letters)
            sentence = f"{id_text} means several dead letters: {numbers}. Nothing was done; name one by its number."
            return fail(sentence, EXIT_WRONG)
        result = await discard(connection, dead_letters[0], act=act)
    print_result(command, result)
    return end(command, [result])


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", type=identifier, help="number, entry id or event id")
    add_act(parser)


COMMAND = Subcommand("close one dead letter without replaying it", _add_arguments, discard_dead_letter)
