"""Mercado Pago's notifications. Nothing in them is signed. Amounts are decimal text in major units."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

from providers.complete import OrEmpty
from providers.models import Id, Lenient, MajorUnits, Model


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
    transactions: OrEmpty[Transactions] = Transactions()


class OrderEvent(Event):
    """A notification about an order. Read it with `loads_decimal`."""

    data: Order
