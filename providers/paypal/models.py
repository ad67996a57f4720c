"""PayPal's objects, as its events carry them (developer.paypal.com/api/rest/webhooks/event-names).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `PayPalEvent[Payment]` and the
like, which hold amounts to their types. The first API (Payments v1) and the second name some fields differently.
"""

from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field

from providers.complete import Items, OrEmpty
from providers.models import Currency, Id, Lenient, MajorUnits, Model

ResourceT = TypeVar("ResourceT")


class AnyResource(Model):
    """An object of any kind. A capture or a sale is named by one of these fields, depending on the kind."""

    id: Any = None
    dispute_id: Any = None
    sale_id: Any = None
    capture_id: Any = None
    disputed_transactions: Any = None
    links: Any = None
    purchase_units: Any = None


class AnyEvent(Model):
    """An event of any type."""

    id: str
    event_type: str
    resource_type: Any = None
    create_time: Any = None
    links: Any = None
    resource: Lenient[AnyResource] = None


class PayPalEvent(Model, Generic[ResourceT]):
    """An event whose kind of object is known."""

    resource: ResourceT


class Money(Model):
    """`value` and `currency_code` in the second API, `total` or `value` and `currency` in the first."""

    value: MajorUnits = Field(validation_alias=AliasChoices("value", "total"))
    currency: Currency = Field(validation_alias=AliasChoices("currency_code", "currency"))


def _none_without_amount(money: object) -> object:
    """Return None for an object that lacks its amount or its currency, and for an empty array."""
    if money == []:
        return None
    pairs = (("value", "total"), ("currency_code", "currency"))
    is_complete = not isinstance(money, dict) or all(any(money.get(name) for name in names) for names in pairs)
    return money if is_complete else None


MaybeMoney = Annotated[Money | None, BeforeValidator(_none_without_amount)]
"""Money that no transfer needs. It is None where it is left out, in whole or in part."""


def _without_minus(amount: object) -> object:
    if isinstance(amount, Decimal):
        return abs(amount)
    return amount.removeprefix("-") if isinstance(amount, str) else amount


class RefundedMoney(Money):
    """Money that goes back. The first API writes it with a minus."""

    value: Annotated[MajorUnits, BeforeValidator(_without_minus)] = Field(
        validation_alias=AliasChoices("value", "total")
    )


class Payment(Model):
    """A capture, an authorization or a sale."""

    id: Id
    amount: Money
    status: str | None = Field(None, validation_alias=AliasChoices("status", "state"))


class Breakdown(Model):
    """The totals of a refund, in the second API."""

    total_refunded_amount: MaybeMoney = None


class Refund(Model):
    """A refund or a reversal of a capture or sale."""

    id: Id
    amount: RefundedMoney
    status: str | None = Field(None, validation_alias=AliasChoices("status", "state"))
    seller_payable_breakdown: OrEmpty[Breakdown] = Breakdown()
    total_refunded_amount: MaybeMoney = None
    """Only in the first API."""

    @property
    def total(self) -> Money | None:
        """The sum of all refunds so far of the capture or sale."""
        return self.seller_payable_breakdown.total_refunded_amount or self.total_refunded_amount


class Payments(Model):
    """The payments of one unit of an order."""

    captures: Items[Payment] = ()


class PurchaseUnit(Model):
    """A part of an order, with its own amount."""

    payments: OrEmpty[Payments] = Payments()


class Order(Model):
    """An order."""

    purchase_units: Items[PurchaseUnit] = ()

    @property
    def captures(self) -> list[Payment]:
        """The captures of all its units."""
        return [capture for unit in self.purchase_units for capture in unit.payments.captures]


class Outcome(Model):
    """How a dispute ended."""

    outcome_code: str | None = None


class DisputedTransaction(Model):
    """A capture or sale that is disputed."""

    seller_transaction_id: Lenient[Id] = None
    gross_amount: MaybeMoney = None


class Dispute(Model):
    """A dispute about a capture or sale, or about several."""

    dispute_id: Id
    dispute_amount: Money
    disputed_transactions: Items[DisputedTransaction] = ()
    status: str | None = None
    dispute_outcome: OrEmpty[Outcome] = Outcome()


# Named once, because pydantic looks a parametrised model up whenever it is written with brackets.
DisputeEvent = PayPalEvent[Dispute]
OrderEvent = PayPalEvent[Order]
PaymentEvent = PayPalEvent[Payment]
RefundEvent = PayPalEvent[Refund]
