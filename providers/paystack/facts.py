"""Paystack: charges, refunds and disputes, amounts in hundredths of whatever currency, as a number or as text.

Sources: paystack.com/docs/payments/webhooks with its samples in PaystackOSS/doc-code-snippets, "Refunds", and "Manage
disputes". Paystack counts hundredths in every currency, as its own plugin does (PaystackOSS/woo-paystack): of one that
has no minor unit (XOF, RWF) as well, where ISO 4217 counts francs.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import UnreadableError
from providers.models import Currency, Id, MinorUnits, Model

_DIGITS = re.compile(r"[0-9]{1,19}")


def _number(amount: object) -> object:
    """Charges have numbers, refunds text of digits alone."""
    return int(amount) if isinstance(amount, str) and _DIGITS.fullmatch(amount) else amount


def _name(value: object) -> object:
    """Disputes are numbered."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Hundredths = Annotated[MinorUnits, BeforeValidator(_number)]
_Name = Annotated[Id, BeforeValidator(_name)]


def _fact(kind: Kind, hundredths: int, currency: str, object_: str = "") -> Fact:
    return Fact(kind, minor_units(Decimal(hundredths).scaleb(-2), currency), currency, object_)


class _Charge(Model):
    reference: _Name
    amount: _Hundredths
    currency: Currency
    requested_amount: _Hundredths | None = None
    """What was asked for, where a partial debit brought less."""


class _Refund(Model):
    refund_reference: _Name
    """Null until it is processed. Without it one refund of a transaction could not be told from another."""
    amount: _Hundredths
    currency: Currency


class _Disputed(Model):
    amount: _Hundredths | None = None
    currency: Currency | None = None


class _Dispute(Model):
    id: _Name
    refund_amount: _Hundredths | None = None
    currency: Currency | None = None
    resolution: str | None = None
    transaction: _Disputed = _Disputed()

    def fact(self, kind: Kind) -> Fact:
        """The amount that is claimed; where there is none yet, all of the transaction's."""
        amount = self.transaction.amount if self.refund_amount is None else self.refund_amount
        currency = self.currency or self.transaction.currency
        if amount is None or currency is None:
            raise UnreadableError("neither the dispute nor its transaction has an amount and a currency")
        return _fact(kind, amount, currency, self.id)


class _ChargeEvent(Model):
    data: _Charge


class _RefundEvent(Model):
    data: _Refund


class _DisputeEvent(Model):
    data: _Dispute


def extract_facts(event: Event) -> Sequence[Fact]:
    """A transaction succeeds once, and its reference is unique, so the capture has its name."""
    tell = TYPES.get(event.type)
    return tell(event.body) if tell else ()


def _charge(body: bytes) -> list[Fact]:
    charge = _ChargeEvent.model_validate_json(body).data
    captured = _fact("captured", charge.amount, charge.currency, charge.reference)
    asked = charge.requested_amount
    if asked is None or asked <= charge.amount:
        return [captured]
    return [_fact("authorized", asked, charge.currency), captured]


def _refund(kind: Kind) -> Callable[[bytes], list[Fact]]:
    def tell(body: bytes) -> list[Fact]:
        refund = _RefundEvent.model_validate_json(body).data
        return [_fact(kind, refund.amount, refund.currency, refund.refund_reference)]

    return tell


def _opened(body: bytes) -> list[Fact]:
    return [_DisputeEvent.model_validate_json(body).data.fact("dispute_opened")]


_RESOLUTIONS: dict[str, Kind] = {
    "merchant-accepted": "dispute_lost",
    "auto-accepted": "dispute_lost",
    "declined": "dispute_won",
}


def _resolved(body: bytes) -> list[Fact]:
    """An accepted dispute is paid by a refund, which has events of its own: it withdraws nothing besides."""
    dispute = _DisputeEvent.model_validate_json(body).data
    kind = _RESOLUTIONS.get(dispute.resolution or "")
    return [dispute.fact(kind)] if kind else []


TYPES: dict[str, Callable[[bytes], Sequence[Fact]]] = {
    "charge.success": _charge,
    "refund.processed": _refund("refunded"),
    "refund.failed": _refund("refund_failed"),
    "charge.dispute.create": _opened,
    "charge.dispute.resolve": _resolved,
}
"""The types that tell about money that was received. All others are recorded, and move nothing.

A refund that is pending, processing or needs attention has not been paid. A reminder of a dispute tells nothing new.
What an invoice or a payment request brought in has a charge, which tells. Transfers are payouts.
"""
