"""`resolve`: a person decides about one conflict, or about all of one payment."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, get_args

from rich.console import Console

from consumers.handlers import HandlerFailed, HandlersError
from contract.accounts import PostingRulesError
from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act, identifier
from operations.cli.conflicts import format_conflict_amount
from operations.conflicts import (
    AmbiguousError,
    ConflictMatch,
    Decision,
    EarlierDecision,
    Keep,
    OpenConflict,
    decide,
    find_decision,
    find_open_conflicts,
)
from operations.payment_acts import Posting, failure_reason
from operations.servers import LONG_TIMEOUT_S
from operations.units import count
from runtime.command_line import fail
from runtime.settings import SETTINGS_EXIT_CODE

FORMER_NAMES = {"told": "reported"}
"""Values of --keep of earlier versions, still accepted."""


async def resolve_conflicts(command: Command) -> int:
    """Keep the booked or the reported money of one conflict, or of all conflicts of a payment."""
    try:
        handlers = Posting.read(command.settings).handlers
    except (HandlersError, PostingRulesError) as error:
        return fail(f"{error}. Nothing was decided.", SETTINGS_EXIT_CODE)
    id_text, keep, act = command.arguments.id, command.arguments.keep, command.act
    async with command.servers.postgres(LONG_TIMEOUT_S) as connection:
        matches = await find_open_conflicts(connection, id_text)
        if len(matches) > 1 and not command.arguments.json:
            command.console.print(f"{len(matches)} conflicts of {id_text} are open; the decision is about all of them.")
        try:
            decision = await decide(
                connection, handlers, matches, keep, timeout_s=command.settings.handler_timeout_s, act=act
            )
        except AmbiguousError as error:
            return fail(_ambiguous_sentence(id_text, matches, error), EXIT_WRONG)
        except HandlerFailed as error:
            sentence = f"Nothing was decided: {failure_reason(error)}. All was undone; decide again once it works."
            return fail(sentence, EXIT_WRONG)
        earlier = None if decision.decided else await find_decision(connection, id_text)
    if not decision.decided:
        return fail(_no_conflict_sentence(id_text, earlier), EXIT_WRONG)
    if command.arguments.json:
        command.print_json(_json(decision, keep))
    else:
        _print_decision(command.console, decision, keep)
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=identifier, help="number of a conflict, or id of a payment")
    parser.add_argument(
        "--keep", type=_keep, choices=get_args(Keep), required=True,
        help="the amount that is right: the booked one, or the one that the later event reported",
    )  # fmt: skip
    add_act(parser)


def _keep(text: str) -> str:
    if text in FORMER_NAMES:
        sys.stderr.write(f"--keep {text} is deprecated and will be removed: use --keep {FORMER_NAMES[text]}.\n")
    return FORMER_NAMES.get(text, text)


COMMAND = Subcommand(
    "decide about one conflict, or all of a payment, and book what waited for it", _add_arguments, resolve_conflicts
)


def _print_decision(console: Console, decision: Decision, keep: Keep) -> None:
    """Print one sentence per conflict, then what was released, then what is still open."""
    for conflict in decision.decided:
        effect = _effect(decision, conflict, keep)
        console.print(f"Conflict {conflict.id} ({conflict.movement}) is decided: {effect}")
    if decision.released:
        console.print(f"{count(decision.released, 'fact is', 'facts are')} not on hold any more.")
    if decision.booked:
        console.print(f"Booked now: {', '.join(decision.booked)}.")
    if decision.open:
        numbers = ", ".join(map(str, decision.open))
        console.print(f"The payment's money is still stopped: {numbers} open (`conflicts` lists them).")
    else:
        console.print("The payment's money moves again.")


def _effect(decision: Decision, conflict: OpenConflict, keep: Keep) -> str:
    reported = format_conflict_amount(conflict.movement, conflict.reported_amount, conflict.reported_currency)
    if conflict.is_currency_only:
        return "acknowledged; nothing is booked for it."
    if keep == "booked":
        return f"the booked amount stays, {reported} is dismissed."
    if conflict.movement in decision.corrected:
        return f"the booked amount is reversed and {reported} is booked; handlers are not called a second time."
    return f"{reported} is booked."


def _json(decision: Decision, keep: Keep) -> dict[str, Any]:
    return {
        "keep": keep,
        "decided": [conflict.id for conflict in decision.decided],
        "corrected": decision.corrected,
        "booked": decision.booked,
        "released": decision.released,
        "open": decision.open,
    }


def _ambiguous_sentence(id_text: str, matches: Sequence[ConflictMatch], error: AmbiguousError) -> str:
    if len(matches) == 1:
        return f"Conflict {matches[0].id} cannot be decided so: {error}. Nothing was decided."
    numbers = ", ".join(str(match.id) for match in matches)
    return f"{id_text} means the conflicts {numbers}: {error}. Nothing was decided; name one by its number."


def _no_conflict_sentence(id_text: str, earlier: EarlierDecision | None) -> str:
    if earlier is None:
        return (
            f"There is no open conflict with the number or payment id {id_text!r}. Nothing was done; `conflicts` lists "
            "them all."
        )
    when = f"{earlier.decided_at:%Y-%m-%d %H:%M:%S}"
    return f"Conflict {id_text} was decided already, on {when}: the {earlier.keep} amount is right. Nothing was done."
