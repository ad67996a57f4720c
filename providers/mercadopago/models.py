"""Mercado Pago's notifications. Nothing in them is signed. Amounts are decimal text in major units."""

from collections.abc import Sequence
from typing import Any

from providers.models import Id, MajorUnits, Model


class Event(Model):
    """A notification of any type."""

    action: str = ""
    type: str = ""
    date_created: Any = None


class Payment(Model):
    """One payment of an order."""

    id: Id
    amount: MajorUnits
    paid_amount: MajorUnits | None = None
    status: str = ""


class Refund(Model):
    """One refund of an order."""

    id: Id
    amount: MajorUnits
    status: str = ""


class Transactions(Model):
    """The payments and refunds of an order."""

    payments: Sequence[Payment] = ()
    refunds: Sequence[Refund] = ()


class Order(Model):
    """An order. A notification leaves out some amounts."""

    id: Id
    status_detail: str = ""
    total_amount: MajorUnits | None = None
    total_paid_amount: MajorUnits | None = None
    transactions: Transactions = Transactions()


class OrderEvent(Event):
    """A notification about an order. Read it with `loads_decimal`."""

    data: Order
