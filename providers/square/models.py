"""Square's objects, as its events carry them (https://developer.squareup.com/reference/square/webhooks).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `SquareEvent[PaymentObject]`
and the like, which hold amounts to their types.
"""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field

from providers.facts import IncompleteError
from providers.models import Currency, Id, MinorUnits, Model

ObjectT = TypeVar("ObjectT")


class Data(Model, Generic[ObjectT]):
    """What an event is about. `object` has one member, which is named after its kind."""

    object: ObjectT


class SquareEvent(Model, Generic[ObjectT]):
    """An event whose kind of object is known."""

    data: Data[ObjectT]


class AnyData(Data[Any]):
    """Data about an object of any kind."""

    id: Any = None
    object: Any = None


class AnyEvent(Model):
    """An event of any type."""

    event_id: str
    type: str
    created_at: Any = None
    merchant_id: Any = None
    data: Annotated[AnyData | list[Any] | None, Field(union_mode="left_to_right")] = None


class Money(Model):
    """An amount in "the smallest denomination of the currency", which is that of ISO 4217."""

    amount: MinorUnits
    currency: Currency


def _none_without_amount(money: object) -> object:
    if money == []:
        return None
    is_complete = not isinstance(money, dict) or all(money.get(name) is not None for name in ("amount", "currency"))
    return money if is_complete else None


MaybeMoney = Annotated[Money | None, BeforeValidator(_none_without_amount)]
"""Money, or None where it has no amount or no currency: Square documents both as optional."""

OUTSIDE = frozenset({"CASH", "EXTERNAL"})
"""Means of payment that Square records only; it moves no funds (docs/payments-api/take-payments)."""


class Payment(Model):
    """A payment."""

    status: str
    source_type: str | None = None
    amount_money: MaybeMoney = None
    total_money: MaybeMoney = None
    refunded_money: MaybeMoney = None

    @property
    def total(self) -> Money:
        """What is paid, with the tip. Raise IncompleteError where the payment has no amount."""
        total = self.total_money or self.amount_money
        if total is None:
            raise IncompleteError("the payment has no amount")
        return total


class Refund(Model):
    """A refund of a payment, or one that is linked to none."""

    id: Id
    status: str | None = None
    destination_type: str | None = None
    amount_money: Money


class Dispute(Model):
    """A dispute about a payment."""

    id: Id = Field(validation_alias=AliasChoices("id", "dispute_id"))
    state: str
    amount_money: Money


class PaymentObject(Model):
    """The object of a payment's event."""

    payment: Payment


class RefundObject(Model):
    """The object of a refund's event."""

    refund: Refund


class DisputeObject(Model):
    """The object of a dispute's event."""

    dispute: Dispute


# Named once, because pydantic looks a parametrised model up whenever it is written with brackets.
DisputeEvent = SquareEvent[DisputeObject]
PaymentEvent = SquareEvent[PaymentObject]
RefundEvent = SquareEvent[RefundObject]
