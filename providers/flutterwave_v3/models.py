"""Flutterwave v3's transactions and refunds, as its events and its API carry them (github.com/Flutterwave/Node-v3).

Amounts are JSON numbers in major units. Ids are numbers, or in some answers the same number as text.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

from providers.complete import OrEmpty
from providers.models import Currency, Id, MajorUnits, Model

NUMBER_DIGITS_MAX = 30
"""Of a number that is kept, on either side of its point."""


def _text_of_number(value: object) -> object:
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value) < 10**20:
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


NumberId = Annotated[Id, BeforeValidator(_text_of_number)]
"""An id as text, written as a number or as text."""


class Data(Model):
    """What any event is about."""

    id: Any = None
    tx_ref: Any = None
    flw_ref: Any = None
    reference: Any = None
    status: Any = None
    created_at: Any = None


class Event(Model):
    """An event of any type."""

    event: str
    data: OrEmpty[Data] = Data()


def _is_short(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent > -NUMBER_DIGITS_MAX and value.adjusted() < NUMBER_DIGITS_MAX


def _plain(value: object) -> object:
    """Return text for a number, exactly, and None for what is neither number nor text."""
    if isinstance(value, Decimal):
        return format(value, "f") if _is_short(value) else None
    return value if isinstance(value, str) else None


Plain = Annotated[Any, BeforeValidator(_plain)]


class BriefTransaction(Data):
    """A transaction as far as it is kept: without the customer, and without the card's token. Numbers are text."""

    id: NumberId
    tx_ref: Plain = None
    flw_ref: Plain = None
    reference: None = None
    amount: Plain = None
    currency: Plain = None
    charged_amount: Plain = None
    app_fee: Plain = None
    status: Plain = None
    payment_type: Plain = None
    account_id: Plain = None
    created_at: Plain = None


class BriefRefund(Model):
    """A refund as far as it is kept. `tx_id` is the id of its transaction."""

    id: NumberId
    tx_id: NumberId
    amount_refunded: Plain = None
    status: Plain = None
    created_at: Plain = None


class TransactionAnswer(Model):
    """What the API answers about one transaction."""

    data: BriefTransaction


class Transaction(Model):
    """A customer's attempt to pay. `amount` is what was asked for, without fees that the customer may pay on top."""

    id: NumberId
    amount: MajorUnits
    currency: Currency
    status: str | None = None


class TransactionObject(Model):
    """A transaction in an event's form."""

    data: Transaction


class Refund(Model):
    """A refund of a transaction, or of a part of it. It names no currency."""

    id: NumberId
    amount_refunded: MajorUnits
    status: str | None = None


class RefundedTransaction(Model):
    """The transaction of a refund."""

    currency: Currency


class RefundObject(Model):
    """A refund with its transaction."""

    data: Refund
    transaction: RefundedTransaction
