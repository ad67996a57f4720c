"""Paystack's objects, as its events carry them (paystack.com/docs/payments/webhooks).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `PaystackEvent[Charge]` and the
like, which hold amounts to their types.
"""

import re
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field

from contract.event import Mode
from providers.models import Currency, Id, Lenient, MinorUnits, Model

DataT = TypeVar("DataT")

_DIGITS = re.compile(r"[0-9]{1,19}")


def _number(amount: object) -> object:
    """Accept a number, as charges have it, or text of digits, as refunds have it."""
    return int(amount) if isinstance(amount, str) and _DIGITS.fullmatch(amount) else amount


def _text(value: object) -> object:
    """Accept a text, or a number, as disputes have it."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Hundredths = Annotated[MinorUnits, BeforeValidator(_number)]
"""An amount in hundredths, whatever the currency."""

IdOrNumber = Annotated[Id, BeforeValidator(_text)]
"""An id, which may be written as a number."""


class AnyData(Model):
    """A transaction, dispute, refund, transfer or other object. `domain` is its mode."""

    id: Any = None
    domain: Lenient[Mode] = None
    reference: Any = None
    transaction: Any = None
    transaction_reference: Any = None
    paid_at: Any = None
    created_at: Any = None
    created_at_too: Any = Field(default=None, alias="createdAt")


class AnyEvent(Model):
    """An event of any type."""

    event: str
    data: Annotated[AnyData | list[Any] | None, Field(union_mode="left_to_right")] = None
    """The data of `subscription.expiring_cards` is an array of subscriptions."""


class PaystackEvent(Model, Generic[DataT]):
    """An event whose kind of object is known."""

    data: DataT


class Charge(Model):
    """A transaction that succeeded."""

    reference: IdOrNumber
    amount: Hundredths
    currency: Currency
    requested_amount: Hundredths | None = None
    """The amount that was asked for; a partial debit brings less."""


class CapturedTransaction(Model):
    """The transaction within a captured preauthorization."""

    reference: IdOrNumber


class Hold(Model):
    """A preauthorization: an amount that is held, then captured or released."""

    reference: IdOrNumber
    amount: Hundredths
    currency: Currency
    captured_amount: Hundredths | None = None
    """Null unless a capture was attempted, and written as text."""
    transaction: Lenient[CapturedTransaction] = None
    """The transaction that captured it. Absent until then."""

    @property
    def capture_id(self) -> str:
        """The name of the capture: that of the transaction, which may be reported by `charge.success` too."""
        return self.transaction.reference if self.transaction else self.reference


class Refund(Model):
    """A refund of a transaction."""

    refund_reference: IdOrNumber | None
    """Null until the refund is processed. It distinguishes the refunds of one transaction."""
    amount: Hundredths
    currency: Currency


class DisputedTransaction(Model):
    """The transaction within a dispute."""

    amount: Hundredths | None = None
    currency: Currency | None = None


class Dispute(Model):
    """A dispute about a transaction."""

    id: IdOrNumber
    refund_amount: Hundredths | None = None
    currency: Currency | None = None
    status: Lenient[str] = None
    resolution: str | None = None
    transaction: Lenient[DisputedTransaction] = None


class Transaction(Model):
    """A transaction of the API, in whatever state."""

    status: str | None = None


class ListedRefund(Model):
    """A refund as the API has it, without the name that events have."""

    amount: Hundredths
    currency: Currency
    status: str | None = None


class Refunds(Model):
    """The refunds of a transaction, which the API lists."""

    currency: Currency
    refunds: Annotated[tuple[ListedRefund, ...], Field(strict=False)]


# Named once, because pydantic looks a parametrised model up whenever it is written with brackets.
ChargeEvent = PaystackEvent[Charge]
DisputeEvent = PaystackEvent[Dispute]
HoldEvent = PaystackEvent[Hold]
RefundEvent = PaystackEvent[Refund]
RefundedTransaction = PaystackEvent[Refunds]
TransactionEvent = PaystackEvent[Transaction]
