"""The in-house event of provider `hmac`: one state of one transaction, amounts in major units."""

from collections.abc import Sequence
from typing import Literal

from consumers.facts.base import Currency, Fact, Kind, MajorUnits, Model, exactly
from consumers.money import minor_units
from contract.event import Event

_KINDS: dict[str, Kind] = {"COMPLETED": "captured", "FAILED": "failed", "PENDING": "pending"}


class _Body(Model):
    status: Literal["COMPLETED", "FAILED", "PENDING"]
    amount: MajorUnits
    currency: Currency


def read(event: Event) -> Sequence[Fact]:
    """A transaction is captured once and whole, so the movement has its name."""
    told = _Body.model_validate(exactly(event.body))
    amount = minor_units(told.amount, told.currency)
    object_ = event.resource if told.status == "COMPLETED" else ""
    return (Fact(_KINDS[told.status], amount, told.currency, object_),)
