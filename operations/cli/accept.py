"""`accept`: what a comparison with a provider's list found stays as it is, because a person has looked at it."""

import argparse
from dataclasses import asdict

from operations.cli.command import EXIT_USAGE, EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.reconcile.acceptance import accept
from runtime.command_line import fail


async def accept_findings(command: Command) -> int:
    """Close open findings of a source. Exit 1 if no such is open."""
    arguments, act = command.arguments, command.act
    if bool(arguments.event) == arguments.all:
        return fail("Name an event, or give --all.", EXIT_USAGE)
    event_ids = [arguments.event] if arguments.event else None
    async with command.servers.postgres() as connection:
        done = await accept(connection, arguments.source, event_ids, act=act)
    if command.arguments.json:
        command.print_json({"operation": done.operation, "accepted": [asdict(each) for each in done.findings]})
    elif done.operation is not None:
        named = ", ".join(f"{each.kind} {each.event_id}" for each in done.findings[:10])
        more = f" and {len(done.findings) - 10} more" if len(done.findings) > 10 else ""
        command.console.print(
            f"Accepted by {act.actor} as number {done.operation}: {named}{more}. They are found again only if the "
            "provider says something else."
        )
    if done.operation is None:
        about = f" about {arguments.event}" if arguments.event else ""
        return fail(f"Source {arguments.source} has no open finding{about}. Nothing was done.", EXIT_WRONG)
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=identifier, help="its name, also one that sources.toml had")
    parser.add_argument(
        "event", metavar="EVENT", nargs="?", type=identifier, help="the event that is missing or differs"
    )
    parser.add_argument("--all", action="store_true", help="all that is open of the source")
    add_act(parser, needs_reason=True)


COMMAND = Subcommand("close what a comparison found, because it may stay as it is", _add_arguments, accept_findings)
