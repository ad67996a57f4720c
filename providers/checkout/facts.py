"""Checkout.com: payments and disputes (https://www.checkout.com/docs/workflows/webhook-event-types).

A payment may have several captures and refunds. Each is an action of the payment, and named by its `action_id`. What is
requested (`payment_capture_pending`, `payment_refund_pending`) or declined (`…_declined`) has moved nothing. A payout
looks like a payment, except for its `destination`.

A dispute's amount is deducted "once the dispute is issued" (…/docs/business-operations/manage-disputes/
how-disputes-work), so each event of a dispute says that it was withdrawn: a loss, for one, may come without the request
for evidence. A win, a cancellation and an arbitration that was won credit it ("if previously debited", …/docs/
developer-resources/event-notifications/event-types).
"""

from collections.abc import Mapping, Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import iso_minor_units
from providers.checkout.models import ActionEvent, DisputeEvent, Money, Payment, PaymentEvent
from providers.complete import read_complete_json
from providers.facts import ExtractFacts

_EXPONENTS = dict.fromkeys(("CLF", "CLP", "UYI", "UYW"), 2)
"""The decimals of Checkout.com where they differ from ISO 4217: two, unless a currency is in its lists of those with
none and three (https://www.checkout.com/docs/payments/accept-payments/format-the-amount-value)."""


def _fact(kind: Kind, money: Money, object_: str = "", amount: int | None = None) -> Fact:
    """Return a fact about the object's amount, or about another amount in its currency."""
    amount = iso_minor_units(money.amount if amount is None else amount, money.currency, _EXPONENTS)
    return Fact(kind, amount, money.currency, object_)


def _authorized(payment: Payment) -> list[Fact]:
    """Return what the payment is for, where the event says it."""
    total = payment.balances.total_authorized
    return [] if total is None else [_fact("authorized", payment, amount=total)]


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _payment(kind: Kind) -> ExtractFacts:
    def extract(event: Event) -> Sequence[Fact]:
        payment = read_complete_json(PaymentEvent, event.body).data
        return [] if payment.is_payout else [_fact(kind, payment)]

    return extract


def _incremented(event: Event) -> Sequence[Fact]:
    """Return the new total. The event's own amount is only what was added."""
    return _authorized(read_complete_json(PaymentEvent, event.body).data)


def _voided(event: Event) -> Sequence[Fact]:
    """Return no cancellation where a part was voided, and the rest can still be captured."""
    payment = read_complete_json(PaymentEvent, event.body).data
    authorized, total = _authorized(payment), payment.balances.total_authorized
    if payment.balances.available_to_capture:
        return authorized
    return [*authorized, _fact("canceled", payment, amount=total)]


def _captured(event: Event) -> Sequence[Fact]:
    action = read_complete_json(ActionEvent, event.body).data
    return [*_authorized(action), _fact("captured", action, action.action_id)]


def _refunded(event: Event) -> Sequence[Fact]:
    action = read_complete_json(ActionEvent, event.body).data
    facts = [*_authorized(action), _fact("refunded", action, action.action_id)]
    if action.balances.total_refunded is not None:
        facts.append(_fact("refunded_total", action, amount=action.balances.total_refunded))
    return facts


def _returned(event: Event) -> Sequence[Fact]:
    """Return a refund: the customer's bank took back a payment (ACH and similar). Payouts are returned likewise."""
    action = read_complete_json(ActionEvent, event.body).data
    return [] if action.is_payout else [_fact("refunded", action, action.action_id)]


def _dispute(*kinds: Kind) -> ExtractFacts:
    def extract(event: Event) -> Sequence[Fact]:
        dispute = read_complete_json(DisputeEvent, event.body).data
        return [_fact(kind, dispute, dispute.id) for kind in kinds]

    return extract


_open = _dispute("dispute_opened", "funds_withdrawn")
_lost = _dispute("dispute_lost", "funds_withdrawn")
_won = _dispute("dispute_won", "funds_withdrawn", "funds_reinstated")


def _resolved(event: Event) -> Sequence[Fact]:
    """Return a win for a payment refunded before; the network's rapid resolution, however, paid the customer back."""
    dispute = read_complete_json(DisputeEvent, event.body).data
    return (_lost if dispute.resolved_reason == "rapid_dispute_resolution" else _won)(event)


TYPES: Mapping[str, ExtractFacts] = {
    "payment_pending": _payment("pending"),
    "payment_approved": _payment("authorized"),
    "payment_authorization_incremented": _incremented,
    "payment_declined": _payment("failed"),
    "payment_canceled": _payment("canceled"),
    "payment_expired": _payment("canceled"),
    "payment_voided": _voided,
    "payment_captured": _captured,
    "payment_refunded": _refunded,
    "payment_returned": _returned,
    "dispute_received": _open,
    "dispute_evidence_required": _open,
    "dispute_evidence_submitted": _open,
    "dispute_evidence_acknowledged_by_scheme": _open,
    "dispute_arbitration_sent_to_scheme": _open,
    "dispute_arbitration_evidence_submitted": _open,
    "dispute_won": _won,
    "dispute_canceled": _won,
    "dispute_arbitration_won": _won,
    "dispute_resolved": _resolved,
    "dispute_lost": _lost,
    "dispute_accepted": _lost,
    "dispute_expired": _lost,  # nothing can be answered any more
    "dispute_arbitration_lost": _lost,
}
"""The types that report money. All others are recorded, and move nothing: docs/providers/checkout.md says why."""
