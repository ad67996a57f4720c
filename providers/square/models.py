"""Square's objects, as its events carry them (https://developer.squareup.com/reference/square/webhooks).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `SquareEvent[PaymentObject]`
and the like, which hold amounts to their types.
"""

from typing import Any, Generic, TypeVar

from pydantic import AliasChoices, Field

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
    created_at: str
    data: AnyData = AnyData()


class Money(Model):
    """An amount in "the smallest denomination of the currency", which is that of ISO 4217."""

    amount: MinorUnits
    currency: Currency


class Payment(Model):
    """A payment."""

    status: str
    amount_money: Money
    total_money: Money | None = None
    refunded_money: Money | None = None

    @property
    def total(self) -> Money:
        """What is paid, with the tip."""
        return self.total_money or self.amount_money


class Refund(Model):
    """A refund of a payment."""

    id: Id
    status: str | None = None
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
