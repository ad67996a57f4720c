"""Square: payments, refunds and disputes (https://developer.squareup.com/reference/square/webhooks).

Each event holds the current state of its object. A payment is captured once and in full, tip included (`total_money`),
so its capture is named after it. Payments in cash or by other means (`source_type` CASH, EXTERNAL) look the same, and
never passed through Square.
"""

from collections.abc import Sequence

from contract.event import Event
from contract.facts import Fact, HeldBy, Kind
from providers.complete import read_complete_json
from providers.facts import ExtractFacts
from providers.square.models import OUTSIDE, DisputeEvent, Money, PaymentEvent, RefundEvent


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _fact(kind: Kind, money: Money, object_: str = "") -> Fact:
    return Fact(kind, money.amount, money.currency, object_)


_PROGRESS: dict[str, Kind] = {
    "PENDING": "pending",
    "APPROVED": "authorized",
    "COMPLETED": "authorized",
    "CANCELED": "canceled",
    "FAILED": "failed",
}


def _payment(event: Event) -> Sequence[Fact]:
    payment = read_complete_json(PaymentEvent, event.body).data.object.payment
    total, kind = payment.total, _PROGRESS.get(payment.status)
    facts = [_fact(kind, total)] if kind else []
    if payment.status == "COMPLETED":
        held_by: HeldBy = "merchant" if payment.source_type in OUTSIDE else "provider"
        facts.append(Fact("captured", total.amount, total.currency, event.resource, held_by=held_by))
    if payment.refunded_money and payment.refunded_money.amount:
        facts.append(_fact("refunded_total", payment.refunded_money))
    return facts


def _refund(event: Event) -> Sequence[Fact]:
    """Return nothing for a refund that is PENDING: without approval it moved no money.

    The payment's total of refunds counts it already. So one that is REJECTED is reported as failed, which takes it out
    of the total. A refund in cash or by other means is recorded only, and is in the total.
    """
    refund = read_complete_json(RefundEvent, event.body).data.object.refund
    kind = _REFUNDS.get(refund.status or "")
    return [_fact(kind, refund.amount_money, refund.id)] if kind and refund.destination_type not in OUTSIDE else []


_REFUNDS: dict[str, Kind] = {"COMPLETED": "refunded", "FAILED": "refund_failed", "REJECTED": "refund_failed"}


def _dispute(event: Event) -> Sequence[Fact]:
    dispute = read_complete_json(DisputeEvent, event.body).data.object.dispute
    return [_fact(kind, dispute.amount_money, dispute.id) for kind in _DISPUTES.get(dispute.state, ())]


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
"""In the last two states the cardholder has the money; Square reports no earlier withholding
(https://developer.squareup.com/docs/disputes-api/process-disputes)."""

TYPES: dict[str, ExtractFacts] = {
    "payment.created": _payment,
    "payment.updated": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "dispute.created": _dispute,
    "dispute.state.changed": _dispute,  # the older name; the same object
    "dispute.state.updated": _dispute,
}
"""The types that report money. docs/providers/square.md says why each of the others is recorded only."""
