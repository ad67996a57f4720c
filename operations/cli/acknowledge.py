"""`acknowledge`: a person has understood what is missing, so that the audit shows later losses only."""

from functools import partial

from operations.acknowledgement import Acknowledgement, acknowledge
from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act
from runtime.command_line import fail


async def acknowledge_differences(command: Command) -> int:
    """Acknowledge everything that is missing now. Exit 1 if something is left that this cannot end."""
    act = command.act
    done = await acknowledge(command.servers, act=act)
    if command.arguments.json:
        command.print_json(
            {
                "acknowledgement": done.id,
                "acknowledged": {finding.name: finding.total for finding in done.acknowledged},
                "left": {finding.name: finding.total for finding in done.left},
            }
        )
    else:
        command.console.print(_sentence(done, act.actor))
    for finding in done.left:
        fail(f"{finding.name} stays, because acknowledging does not end it: {finding.why}", EXIT_WRONG)
    return EXIT_WRONG if done.left else 0


COMMAND = Subcommand(
    "acknowledge what the audit misses, with a reason, so that it shows later losses only",
    partial(add_act, needs_reason=True),
    acknowledge_differences,
)


def _sentence(done: Acknowledgement, actor: str) -> str:
    if done.id is None:
        return "There is nothing to acknowledge."
    listed = ", ".join(f"{finding.name} ({finding.total})" for finding in done.acknowledged)
    return f"Acknowledged by {actor} as number {done.id}: {listed}. The audit shows later losses only."
