"""`acknowledge`: a person has understood what is missing, so that the audit shows later losses only."""

import argparse

from operations.acknowledgement import Acknowledgement, acknowledge
from operations.cli.command import EXIT_WRONG, Command, Subcommand
from runtime.command_line import fail


async def acknowledge_differences(command: Command) -> int:
    """Acknowledge everything that is missing now. Exit 1 if something is left that this cannot end."""
    arguments = command.arguments
    done = await acknowledge(command.servers, actor=arguments.actor, reason=arguments.reason)
    if arguments.json:
        command.print_json(
            {
                "acknowledgement": done.id,
                "acknowledged": {finding.name: finding.total for finding in done.acknowledged},
                "left": {finding.name: finding.total for finding in done.left},
            }
        )
    else:
        command.console.print(_sentence(done, arguments.actor))
    for finding in done.left:
        fail(f"{finding.name} stays, because acknowledging does not end it: {finding.why}", EXIT_WRONG)
    return EXIT_WRONG if done.left else 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, type=_not_empty, help="why: it is kept, and nobody can change it")
    parser.add_argument("--actor", type=_not_empty, help="who; ACTOR, else the user of the system")


COMMAND = Subcommand(
    "acknowledge what the audit misses, with a reason, so that it shows later losses only",
    _add_arguments,
    acknowledge_differences,
)


def _sentence(done: Acknowledgement, actor: str) -> str:
    if done.id is None:
        return "There is nothing to acknowledge."
    listed = ", ".join(f"{finding.name} ({finding.total})" for finding in done.acknowledged)
    return f"Acknowledged by {actor} as number {done.id}: {listed}. The audit shows later losses only."


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text.strip()
