"""`erase`: the personal data of one payment or event is counted; with --yes, erased."""

import argparse

from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.erasure import Erasable, ErasureError, Kind, erase, find_erasable
from operations.units import count
from runtime.command_line import fail


async def erase_personal_data(command: Command) -> int:
    """Count what is kept of it; with --yes, erase exactly that. Exit 1 if it may not be erased."""
    arguments, act = command.arguments, command.act
    kind: Kind = "payment" if arguments.payment else "event"
    try:
        erasable = await find_erasable(command.servers, kind, arguments.payment or arguments.event)
        goes_on = bool(arguments.yes and erasable.rows)
        done = await erase(command.servers, erasable, act=act) if goes_on else erasable
    except ErasureError as error:
        return fail(f"{error}. Nothing was erased.", EXIT_WRONG)
    if arguments.json:
        command.print_json({
            "subject": f"{kind}:{done.subject}", "events": len(done.event_ids), "payloads": done.payloads,
            "dead_letters": done.dead_letters, "done": goes_on,
        })  # fmt: skip
    else:
        command.console.print(_sentence(done, goes_on=goes_on))
    return 0


def _sentence(done: Erasable, *, goes_on: bool) -> str:
    what = f"the payloads of {count(done.payloads, 'event')} and {count(done.dead_letters, 'dead letter')}"
    if goes_on:
        return f"Erased of {done.kind} {done.subject}: {what}. The books and the ids stay."
    if not done.rows:
        return f"Nothing of {done.kind} {done.subject} is kept but the books and the ids; nothing was erased."
    return f"This would erase {what} of {done.kind} {done.subject}. Nothing was erased; YES=1 (--yes) goes on."


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--payment", type=identifier, help="a payment's id, or namespace/ID: all its events")
    which.add_argument("--event", type=identifier, help="an event's id, or namespace/ID")
    parser.add_argument("--yes", action="store_true", help="erase it, instead of only counting")
    add_act(parser, needs_reason=True)


COMMAND = Subcommand("erase the personal data of one payment or event, and keep its books", _add_arguments,
                     erase_personal_data)  # fmt: skip
