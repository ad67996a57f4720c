"""`confirm`: what a provider's API did not confirm is counted; with --yes, it is asked again."""

import argparse

from contract.accounts import PostingRulesError
from operations.asking_again import DecidedAgainst, NobodyAsksError, ask_again, count_decided_against, require_asked
from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.units import count
from runtime.command_line import fail
from runtime.settings import SETTINGS_EXIT_CODE


async def confirm(command: Command) -> int:
    """Count what was decided against; with --yes, let the workers ask about it again."""
    arguments, act = command.arguments, command.act
    try:
        require_asked(command.settings.sources_file, arguments.source)
    except NobodyAsksError as error:
        return fail(_nobody_asks(error), EXIT_WRONG)
    except PostingRulesError as error:
        return fail(f"{error}. Nothing was done.", SETTINGS_EXIT_CODE)
    async with command.servers.postgres() as connection:
        counted = await count_decided_against(connection, arguments.source, arguments.event)
    done = await ask_again(command.servers, counted, act=act) if arguments.yes and counted.total else 0
    if arguments.json:
        command.print_json(
            {"source": counted.source, "events": counted.askable, "not_kept": counted.not_kept, "asked_again": done}
        )
    else:
        command.console.print(_sentence(counted, done))
    return 0


def _nobody_asks(error: NobodyAsksError) -> str:
    asked = f"asked are: {', '.join(error.asked)}" if error.asked else "nobody's is"
    return f'The API of source {error.source!r} is not asked, without confirm = "api" ({asked}). Nothing was done.'


def _sentence(counted: DecidedAgainst, done: int) -> str:
    about = f"source {counted.source!r}"
    lost = f" {count(counted.not_kept, 'event')} without a payload cannot be asked about." if counted.not_kept else ""
    if done:
        return f"The workers ask the API again about {count(done, 'event')} of {about}.{lost}"
    if counted.event_id:
        about = f"event {counted.event_id} of {about}"
    if not counted.total:
        return f"Nothing of {about} was decided against that can be asked about again; nothing was done.{lost}"
    states = ", ".join(f"{number} {state}" for state, number in counted.askable.items())
    return f"Of {about} was decided against: {states}. Nothing was done; YES=1 (--yes) and a REASON ask again.{lost}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=identifier, help="its name in sources.toml")
    parser.add_argument("--event", type=identifier, help="the id of one event; all of the source if absent")
    parser.add_argument("--yes", action="store_true", help="ask again, instead of only counting")
    add_act(parser)


COMMAND = Subcommand("ask a provider's API again about events that it did not confirm", _add_arguments, confirm)
