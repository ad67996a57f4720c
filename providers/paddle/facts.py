"""Paddle Billing: transactions and their adjustments, amounts in the lowest denomination of the currency, as text.

Sources: developer.paddle.com/webhooks with a page on each event, "Adjustments" and "Currencies" in its API reference,
and the entities of paddle-python-sdk. What a customer pays is `grand_total`: the total less credits, before payments.
It changes while the customer is at the checkout, so that only a transaction that is billed, attempted or over tells.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

from contract.event import Event
from contract.facts import Fact, Kind
from providers.models import Currency, Id, MinorUnits, Model

_DIGITS = re.compile(r"[0-9]{1,19}")


def _integer(text: object) -> object:
    """Takes text of digits alone."""
    if not isinstance(text, str) or not _DIGITS.fullmatch(text):
        raise ValueError("not digits as text")
    return int(text)


_Amount = Annotated[MinorUnits, BeforeValidator(_integer)]
_TransactionId = Annotated[Id, StringConstraints(max_length=200)]
"""With room for what is added to it. Paddle's own have 30 characters."""


class _Due(Model):
    grand_total: _Amount


class _Details(Model):
    totals: _Due


class _Transaction(Model):
    id: Id
    currency_code: Currency
    details: _Details


class _TransactionEvent(Model):
    data: _Transaction


class _Totals(Model):
    total: _Amount


class _Adjustment(Model):
    id: Id
    action: str
    status: str
    transaction_id: _TransactionId
    currency_code: Currency
    totals: _Totals

    def facts(self, object_: str, *kinds: Kind) -> list[Fact]:
        """All of them tell of the adjustment's whole amount."""
        return [Fact(kind, self.totals.total, self.currency_code, object_) for kind in kinds]


class _AdjustmentEvent(Model):
    data: _Adjustment


def extract_facts(event: Event) -> Sequence[Fact]:
    """A transaction is captured once and whole, so the movement has its name."""
    tell = TYPES.get(event.type)
    return tell(event.body) if tell else ()


def _transaction(kind: Kind) -> Callable[[bytes], list[Fact]]:
    def tell(body: bytes) -> list[Fact]:
        data = _TransactionEvent.model_validate_json(body).data
        object_ = data.id if kind == "captured" else ""
        return [Fact(kind, data.details.totals.grand_total, data.currency_code, object_)]

    return tell


def _adjustment(body: bytes) -> list[Fact]:
    """A refund waits for Paddle's approval, and has moved nothing until then, nor if it is rejected.

    A credit lowers what is due, or goes to the customer's balance with Paddle: the seller's money stays where it is.
    """
    adjustment = _AdjustmentEvent.model_validate_json(body).data
    tell = _ACTIONS.get((adjustment.action, adjustment.status))
    return tell(adjustment) if tell else []


def _refund(kind: Kind) -> Callable[[_Adjustment], list[Fact]]:
    return lambda adjustment: adjustment.facts(adjustment.id, kind)


def _dispute(suffix: str, *kinds: Kind) -> Callable[[_Adjustment], list[Fact]]:
    return lambda adjustment: adjustment.facts(adjustment.transaction_id + suffix, *kinds)


_TAKEN: tuple[Kind, ...] = ("dispute_opened", "funds_withdrawn")
_RETURNED: tuple[Kind, ...] = ("dispute_won", "funds_reinstated")
_WARNING = "/warning"

_ACTIONS: dict[tuple[str, str], Callable[[_Adjustment], list[Fact]]] = {
    ("refund", "approved"): _refund("refunded"),
    ("refund", "reversed"): _refund("refund_failed"),
    ("chargeback", "approved"): _dispute("", *_TAKEN),
    ("chargeback", "reversed"): _dispute("", *_RETURNED),
    ("chargeback_reverse", "approved"): _dispute("", *_RETURNED),
    ("chargeback_warning", "approved"): _dispute(_WARNING, *_TAKEN),
    ("chargeback_warning", "reversed"): _dispute(_WARNING, *_RETURNED),
    ("chargeback_warning_reverse", "approved"): _dispute(_WARNING, *_RETURNED),
}
"""By action and status. The reversal of a chargeback is an adjustment with an id of its own, which does not name the
one it reverses; both name the transaction, and so a dispute is named after that.

A chargeback is taken from the seller's balance at once, and given back if Paddle contests it with success. On a warning
Paddle refunds the customer lest a chargeback be filed (paddle.com/help, "Understanding chargebacks with Paddle"): money
as well, and apart from that of a chargeback that comes nevertheless.
"""

TYPES: dict[str, Callable[[bytes], Sequence[Fact]]] = {
    "transaction.billed": _transaction("pending"),
    "transaction.past_due": _transaction("pending"),
    "transaction.payment_failed": _transaction("failed"),
    "transaction.canceled": _transaction("canceled"),
    "transaction.paid": _transaction("captured"),
    "transaction.completed": _transaction("captured"),
    "adjustment.created": _adjustment,
    "adjustment.updated": _adjustment,
}
"""The types that tell about money. All others are recorded, and move nothing."""
