"""Stripe's objects, as its events carry them (https://docs.stripe.com/api/events/object).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `StripeEvent[Charge]` and the
like, which hold amounts to their types.
"""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from contract.money import BIGINT_MAX
from providers.complete import Items, OrNone
from providers.models import Currency, Id, MinorUnits, Model

ObjectT = TypeVar("ObjectT")


OrArray = Annotated[ObjectT | list[Any] | None, Field(union_mode="left_to_right")]
"""An object, which is read where it is one: no event is refused because it has an array there, or nothing."""


class Data(Model, Generic[ObjectT]):
    """The object that an event is about, as it was when the event happened."""

    object: ObjectT


class StripeEvent(Model, Generic[ObjectT]):
    """An event of API v1 whose kind of object is known."""

    data: Data[ObjectT]


class AnyObject(Model):
    """An object of any kind: a reference may be absent, an id, or a whole object ("expanded")."""

    id: Any = None
    payment_intent: Any = None
    charge: Any = None


class AnyData(Model):
    """Data whose object may be absent."""

    object: OrArray[AnyObject] = None


class RelatedObject(Model):
    """What a thin event points to."""

    id: Any = None


class AnyEvent(Model):
    """An event of API v1, or a thin one of v2, which has no data, and a `created` in ISO 8601."""

    id: str
    type: str
    created: int | str
    data: OrArray[AnyData] = None
    related_object: OrArray[RelatedObject] = None
    livemode: Any = None
    account: Any = None
    """The connected account that the event is about (https://docs.stripe.com/connect/webhooks)."""
    context: Any = None
    """The account, in a thin event."""


class Money(Model):
    """An object with an amount."""

    amount: MinorUnits
    currency: Currency


class PaymentIntent(Money):
    """A payment, from its creation on."""

    amount_received: MinorUnits | None = None


class Refund(Money):
    """A refund of a charge."""

    id: Id
    status: str | None = None
    """None in API versions from before refunds could fail."""
    balance_transaction: object = ""
    """None: no money moved. Absent where an event shows only a part of the refund."""


class Refunds(Model):
    """The refunds within a charge, in API versions before 2022-11-15."""

    data: Items[Refund] = ()


class Multicapture(Model):
    """Whether the charge can be captured several times."""

    status: str | None = None


class Card(Model):
    """The card that paid."""

    multicapture: OrNone[Multicapture] = None


class PaymentMethodDetails(Model):
    """How the charge was paid."""

    card: OrNone[Card] = None


class Charge(Money):
    """One attempt to move money for a payment intent."""

    amount_captured: MinorUnits | None = None
    amount_refunded: MinorUnits | None = None
    captured: Annotated[bool, Field(strict=False)] = True
    refunds: OrNone[Refunds] = None
    payment_method_details: OrNone[PaymentMethodDetails] = None

    @property
    def captured_amount(self) -> int:
        """The amount captured so far. API versions before 2020 have only the flag `captured`."""
        if self.amount_captured is None:
            return self.amount if self.captured else 0
        return self.amount_captured

    @property
    def refunded_amount(self) -> int:
        """The amount refunded of what was captured: `amount_refunded` also counts what was released uncaptured."""
        return max(0, (self.amount_refunded or 0) - max(0, self.amount - self.captured_amount))

    @property
    def captured_in_parts(self) -> bool:
        """Whether more may be captured later."""
        card = self.payment_method_details.card if self.payment_method_details else None
        return bool(card and card.multicapture and card.multicapture.status == "available")


class BalanceTransaction(Model):
    """One movement of the account's balance, in the account's own currency. `amount` is without Stripe's fee.

    Negative: taken for the dispute. Positive: given back.
    """

    amount: Annotated[int, Field(ge=-BIGINT_MAX, le=BIGINT_MAX)]
    currency: Currency
    created: int | None = None
    reporting_category: str | None = None

    @property
    def is_of_a_dispute(self) -> bool:
        """Whether it moves what is disputed: fees are not booked."""
        return self.reporting_category in (None, "dispute", "dispute_reversal")


class Dispute(Money):
    """A dispute about a charge. Its amount is what the customer claims."""

    id: Id
    status: str | None = None
    balance_transactions: Items[BalanceTransaction] = ()
    """What moved so far; absent in old API versions."""

    @property
    def moved(self) -> list[BalanceTransaction]:
        """What moved so far, the oldest first."""
        moved = [each for each in self.balance_transactions if each.is_of_a_dispute and each.amount]
        return sorted(moved, key=lambda each: each.created or 0)


# Named once, because pydantic looks a parametrised model up whenever it is written with brackets.
ChargeEvent = StripeEvent[Charge]
DisputeEvent = StripeEvent[Dispute]
PaymentIntentEvent = StripeEvent[PaymentIntent]
RefundEvent = StripeEvent[Refund]
