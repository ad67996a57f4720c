"""The in-house event of provider `hmac`: one state of one transaction, amounts in major units."""

from collections.abc import Mapping, Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete
from providers.generic_hmac.models import Money
from providers.models import loads_decimal

TYPES: Mapping[str, Kind] = {"payment.completed": "captured", "payment.failed": "failed", "payment.pending": "pending"}
"""The types of the in-house format. Other types, of a source that has field paths of its own, move nothing."""


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the state of the transaction. It is captured once and whole, so the capture is named by its id."""
    kind = TYPES.get(event.type)
    if kind is None:
        return ()
    money = read_complete(Money, loads_decimal(event.body))
    object_ = event.resource if kind == "captured" else ""
    return (Fact(kind, minor_units(money.amount, money.currency), money.currency, object_),)
