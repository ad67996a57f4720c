"""The in-house event of provider `hmac`: one state of one transaction, amounts in major units."""

from collections.abc import Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.models import Currency, MajorUnits, Model, loads_decimal

TYPES: dict[str, Kind] = {"payment.completed": "captured", "payment.failed": "failed", "payment.pending": "pending"}
"""The types that the in-house format has. A source that says itself where its types are moves nothing with others."""


class _Body(Model):
    amount: MajorUnits
    currency: Currency


def extract_facts(event: Event) -> Sequence[Fact]:
    """A transaction is captured once and whole, so the movement has its name. The type is made of its status."""
    kind = TYPES.get(event.type)
    if kind is None:
        return ()
    told = _Body.model_validate(loads_decimal(event.body))
    object_ = event.resource if kind == "captured" else ""
    return (Fact(kind, minor_units(told.amount, told.currency), told.currency, object_),)
