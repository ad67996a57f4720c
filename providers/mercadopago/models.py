"""Mercado Pago's notifications, of which nothing is signed, and what its API says.

Amounts are in major units: decimal text in orders, numbers (and in some answers text) in payments.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from providers.complete import Items, OrEmpty
from providers.models import Currency, Id, Lenient, MajorUnits, Model

CURRENCY, DATA_ID, MONEY_FROM = "currency", "data.id", "money_from"
"""The headers in which the gateway passes on two of the source's settings, and the id that was signed."""

MoneyFrom = Literal["orders", "payments"]
"""What the money is booked from. One sale may be both an order and a payment, under two ids, and is booked once."""

FETCHED_PAYMENT, FETCHED_ORDER = "reconcile.payment", "reconcile.order"
"""The types of what the API said."""


class Event(Model):
    """A notification of any type; or, with a topic and a resource, one in the older shape."""

    action: str | None = None
    type: str | None = None
    topic: str | None = None
    resource: Any = None
    date_created: Any = None
    data: Any = None
    live_mode: Any = None
    user_id: Any = None


PartId = Annotated[Id, BeforeValidator(lambda id_: str(id_) if isinstance(id_, Decimal) else id_)]
"""An id that may be written as a number."""


class Part(Model):
    """A payment, a refund or a chargeback of an order."""

    id: PartId
    amount: MajorUnits | None = None
    paid_amount: MajorUnits | None = None
    status: Lenient[str] = None
    status_detail: Lenient[str] = None


Parts = Annotated[Sequence[Part], BeforeValidator(lambda parts: parts or ())]


class Transactions(Model):
    """The payments, refunds and chargebacks of an order."""

    payments: Parts = ()
    refunds: Parts = ()
    chargebacks: Parts = ()


class Order(Model):
    """An order. A notification leaves out some amounts."""

    id: PartId
    status: Lenient[str] = None
    status_detail: Lenient[str] = None
    total_amount: MajorUnits | None = None
    total_paid_amount: MajorUnits | None = None
    currency: Lenient[Currency] = None
    user_id: Any = None
    last_updated_date: Any = None
    transactions: OrEmpty[Transactions] = Transactions()


class OrderEvent(Event):
    """A notification about an order. Read it with `loads_decimal`."""

    data: Order


class Account(Model):
    """The account of the credentials, or the one that a payment was made to."""

    id: Any = None
    nickname: Lenient[str] = None
    site_id: Lenient[str] = None


class Payment(Model):
    """A payment, as the API has it. Read it with `loads_decimal`."""

    id: PartId
    status: str
    status_detail: Lenient[str] = None
    operation_type: Lenient[str] = None
    currency_id: Currency
    transaction_amount: MajorUnits
    transaction_amount_refunded: MajorUnits | None = None
    captured: Any = None
    live_mode: Any = None
    collector_id: Any = None
    collector: Lenient[Account] = None
    date_last_updated: Any = None


class Refund(Model):
    """A refund of a payment, in its currency."""

    id: PartId
    amount: MajorUnits
    status: Lenient[str] = None


class Chargeback(Model):
    """A chargeback. `coverage_applied`: whether Mercado Pago bears it; null while that is open."""

    id: PartId
    amount: MajorUnits
    currency: Lenient[Currency] = None
    coverage_applied: Any = None
    payments: Any = None


class FetchedPayment(Model):
    """A payment with its refunds and chargebacks: the three answers of the API in one object."""

    payment: Payment
    refunds: Items[Refund] = ()
    chargebacks: Items[Chargeback] = ()
