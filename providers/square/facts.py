"""Square: payments, refunds and disputes (https://developer.squareup.com/reference/square/webhooks).

Each event holds its object as it is now. A payment is captured once, whole, tip included (`total_money`), so that the
capture has its name; payments in cash or by other means (`source_type` CASH, EXTERNAL) are told the same way. Amounts
are in "the smallest denomination of the currency", which is ISO 4217's.
"""

from collections.abc import Callable, Sequence

from pydantic import AliasChoices, Field

from contract.event import Event
from contract.facts import Fact, Kind
from providers.models import Currency, Id, MinorUnits, Model


class _Money(Model):
    amount: MinorUnits
    currency: Currency

    def fact(self, kind: Kind, object_: str = "") -> Fact:
        """A fact about this amount."""
        return Fact(kind, self.amount, self.currency, object_)


class _Payment(Model):
    status: str
    amount_money: _Money
    total_money: _Money | None = None
    refunded_money: _Money | None = None

    @property
    def total(self) -> _Money:
        """What is paid, with the tip."""
        return self.total_money or self.amount_money


class _Refund(Model):
    id: Id
    status: str | None = None
    amount_money: _Money


class _Dispute(Model):
    id: Id = Field(validation_alias=AliasChoices("id", "dispute_id"))
    state: str
    amount_money: _Money


class _PaymentObject(Model):
    payment: _Payment


class _RefundObject(Model):
    refund: _Refund


class _DisputeObject(Model):
    dispute: _Dispute


class _PaymentData(Model):
    object: _PaymentObject


class _RefundData(Model):
    object: _RefundObject


class _DisputeData(Model):
    object: _DisputeObject


class _PaymentEvent(Model):
    data: _PaymentData


class _RefundEvent(Model):
    data: _RefundData


class _DisputeEvent(Model):
    data: _DisputeData


def extract_facts(event: Event) -> Sequence[Fact]:
    """What the event tells, by its type."""
    tell = TYPES.get(event.type)
    return tell(event) if tell else ()


_PROGRESS: dict[str, Kind] = {
    "PENDING": "pending",
    "APPROVED": "authorized",
    "COMPLETED": "authorized",
    "CANCELED": "canceled",
    "FAILED": "failed",
}


def _payment(event: Event) -> Sequence[Fact]:
    payment = _PaymentEvent.model_validate_json(event.body).data.object.payment
    kind = _PROGRESS.get(payment.status)
    facts = [payment.total.fact(kind)] if kind else []
    if payment.status == "COMPLETED":
        facts.append(payment.total.fact("captured", event.resource))
    if payment.refunded_money and payment.refunded_money.amount:
        facts.append(payment.refunded_money.fact("refunded_total"))
    return facts


def _refund(event: Event) -> Sequence[Fact]:
    """A refund that is PENDING waits for approval, and one that is REJECTED never got it: neither moved money."""
    refund = _RefundEvent.model_validate_json(event.body).data.object.refund
    kind = _REFUNDS.get(refund.status or "")
    return [refund.amount_money.fact(kind, refund.id)] if kind else []


_REFUNDS: dict[str, Kind] = {"COMPLETED": "refunded", "FAILED": "refund_failed"}


def _dispute(event: Event) -> Sequence[Fact]:
    dispute = _DisputeEvent.model_validate_json(event.body).data.object.dispute
    return [dispute.amount_money.fact(kind, dispute.id) for kind in _DISPUTES.get(dispute.state, ())]


_DISPUTES: dict[str, tuple[Kind, ...]] = {
    "INQUIRY_EVIDENCE_REQUIRED": ("dispute_opened",),
    "INQUIRY_PROCESSING": ("dispute_opened",),
    "INQUIRY_CLOSED": ("dispute_won",),
    "EVIDENCE_REQUIRED": ("dispute_opened",),
    "PROCESSING": ("dispute_opened",),
    "WON": ("dispute_won",),
    "LOST": ("dispute_lost", "funds_withdrawn"),
    "ACCEPTED": ("dispute_lost", "funds_withdrawn"),
}
"""Square says of the last two that the cardholder has the money. What it holds back until then it does not tell.
(https://developer.squareup.com/docs/disputes-api/process-disputes)"""

TYPES: dict[str, Callable[[Event], Sequence[Fact]]] = {
    "payment.created": _payment,
    "payment.updated": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "dispute.created": _dispute,
    "dispute.state.changed": _dispute,  # of old; the same object
    "dispute.state.updated": _dispute,
}
"""The types that tell about money. All others are recorded, and move nothing."""
