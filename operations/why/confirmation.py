"""What is said about the confirmation of an event by its provider's API. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from contract.money import format_amount
from operations.pending_reason import REASON_CHARS_SHOWN
from operations.units import count, printable
from operations.why.confirmation_record import ConfirmationRecord

ON_HOLD: Mapping[str | None, tuple[str, str | None]] = {
    "due": ("until the provider's API, which is asked, confirms these facts", None),
    "disagrees": (
        "for good, because the provider's API was asked and says something else",
        "make why ID= and the event's id shows both sides; if it is forged, change the secret, else make confirm",
    ),
    "not_found": (
        "for good, because the provider's API was asked and knows no such object",
        "look at the provider's dashboard; if the event is forged, change the secret, else make confirm",
    ),
    "failed": (
        "because what the provider's API says cannot be booked",
        "make why ID= and the event's id says why; once that is mended, make confirm asks again",
    ),
}
"""Why facts are on hold whose event is asked about, and what a person does: by the state of its confirmation."""

_WHAT = {"confirmed": "confirmed", "disagrees": "disagrees", "not_found": "not_found", "failed": "not_confirmed"}


def describe_confirmation(asked: ConfirmationRecord) -> Iterator[tuple[str, datetime, str]]:
    """Yield what happened, when, and a text: that the API is asked, and what became of it."""
    yield "asked", asked.recorded_at, f"the API of source {asked.source}'s provider{_so_far(asked)}"
    if asked.decided_at and (what := _WHAT.get(asked.state)):
        yield what, asked.decided_at, _decided(asked)


def _so_far(asked: ConfirmationRecord) -> str:
    if asked.state != "due" or not asked.reason:
        return ", because no signature proves what it says"
    answers = f"{count(asked.tries, 'answer')} decided nothing" if asked.tries else "it has not answered yet"
    return f"; {answers}, and it is asked again at {asked.next_at:%Y-%m-%d %H:%M:%S}: {_short(asked.reason)}"


def _decided(asked: ConfirmationRecord) -> str:
    match asked.state:
        case "confirmed":
            return f"the API says {facts_text(asked.answered)}, which is booked"
        case "disagrees":
            return f"nothing of it is booked: {_short(asked.reason)}"
        case "not_found":
            return f"nothing of it is booked, as the API knows no such object: {_short(asked.reason)}"
        case _:
            return f"what the API says cannot be booked: {_short(asked.reason)}"


def facts_text(facts: Sequence[Mapping[str, Any]]) -> str:
    """Return facts as they are kept in JSON, in words; `nothing about money` of none."""
    return ", ".join(map(_fact, facts)) or "nothing about money"


def _fact(fact: Mapping[str, Any]) -> str:
    object_ = f" ({printable(fact['object'])})" if fact["object"] else ""
    return f"{fact['kind']}{object_} {format_amount(fact['amount'], fact['currency'])}"


def _short(reason: str) -> str:
    return printable(reason)[:REASON_CHARS_SHOWN]
