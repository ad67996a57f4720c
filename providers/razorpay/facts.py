"""Razorpay: payments, refunds and disputes (razorpay.com/docs/webhooks: payments, refunds, disputes, all).

* A payment is captured once and in full, and many events report it (payment.captured, order.paid, invoice.paid …), so
  the capture is named after the payment.
* A refund moved money once its status is `processed`, which may be as soon as it is created; `pending` moved nothing.
* The payment's `amount_refunded` is not reported as a total: it includes pending refunds, which may fail.
* Refunds of a payment that was never captured, which Razorpay makes by itself, are no refunds by the merchant: they
  end the payment (docs/webhooks/refunds, "Identify Auto-Refunds").
* A dispute takes `amount_deducted`: of most accounts when it is lost (docs/api/disputes/entity), of others when it is
  raised (docs/payments/disputes/chargeback-fees-and-penalties, "Deduct at Onset"). So the amount decides, not the type.
"""

from collections.abc import Callable, Mapping, Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from providers.complete import read_complete_json
from providers.razorpay.models import MoneyEvent, Payload


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type; those of an object only if Razorpay's API said it."""
    extract = TYPES.get(event.type) or (OBJECTS.get(event.type) if event.signed == "api" else None)
    return extract(read_complete_json(MoneyEvent, event.body).payload) if extract else ()


_Extract = Callable[[Payload], Sequence[Fact]]


def _progress(kind: Kind) -> _Extract:
    """Take the kind from the event's type: the payment may have progressed before it was sent."""

    def extract(payload: Payload) -> list[Fact]:
        payment = payload.required_payment
        return [Fact(kind, payment.amount, payment.currency)]

    return extract


def _captured(payload: Payload) -> list[Fact]:
    payment = payload.required_payment
    return [Fact("captured", payment.amount, payment.currency, payment.id)]


def _paid(payload: Payload) -> list[Fact]:
    """Return the capture where an order, invoice, link, QR code or subscription comes with a captured payment."""
    member = payload.payment
    return _captured(payload) if member and member.entity.status == "captured" else []


def _refund(status: str) -> _Extract:
    """Use the refund's own status. `status` is the type's, for old refunds, which have none."""

    def extract(payload: Payload) -> list[Fact]:
        refund = payload.required_refund
        kind = _REFUND_STATUSES.get(status if refund.status is None else refund.status)
        if kind is None:
            return []
        payment = payload.payment.entity if payload.payment else None
        if payment and payment.captured is False:
            return [Fact("canceled", payment.amount, payment.currency)] if kind == "refunded" else []
        return [Fact(kind, refund.amount, refund.currency, refund.id)]

    return extract


def _dispute(kind: Kind) -> _Extract:
    """Return the dispute's state, and what was deducted so far. A win gives back what was deducted at its onset."""

    def extract(payload: Payload) -> list[Fact]:
        dispute = payload.required_dispute
        facts = [Fact(kind, dispute.amount, dispute.currency, dispute.id)]
        transfers: tuple[Kind, ...] = ("funds_withdrawn", "funds_reinstated")
        if dispute.amount_deducted:
            facts.extend(
                Fact(each, dispute.amount_deducted, dispute.currency, dispute.id)
                for each in transfers[: 2 if kind == "dispute_won" else 1]
            )
        return facts

    return extract


def _dispute_closed(payload: Payload) -> Sequence[Fact]:
    """Return a win unless the status says lost: closed without money taken means all was explained, or refunded."""
    lost = payload.required_dispute.status == "lost"
    return _dispute("dispute_lost" if lost else "dispute_won")(payload)


def _payment(payload: Payload) -> Sequence[Fact]:
    """Use the payment's own status: the API shows it as it is now.

    One that is `refunded` was captured before, unless it is one of those that Razorpay gave back by itself.
    """
    payment = payload.required_payment
    if payment.status == "captured" or (payment.status == "refunded" and payment.captured):
        return _captured(payload)
    if payment.status == "refunded":
        return [] if payment.captured is None else [Fact("canceled", payment.amount, payment.currency)]
    kind = _PAYMENT_STATUSES.get(payment.status or "")
    return [Fact(kind, payment.amount, payment.currency)] if kind else []


def _dispute_now(payload: Payload) -> Sequence[Fact]:
    """Use the dispute's own status."""
    extract = _DISPUTE_STATUSES.get(payload.required_dispute.status or "")
    return extract(payload) if extract else []


_PAYMENT_STATUSES: Mapping[str, Kind] = {"authorized": "authorized", "failed": "failed"}

_REFUND_STATUSES: Mapping[str, Kind] = {"processed": "refunded", "failed": "refund_failed"}

_DISPUTE_STATUSES: Mapping[str, _Extract] = {
    "open": _dispute("dispute_opened"),
    "under_review": _dispute("dispute_opened"),
    "won": _dispute("dispute_won"),
    "lost": _dispute("dispute_lost"),
    "closed": _dispute_closed,
}

TYPES: Mapping[str, _Extract] = {
    "payment.pending": _progress("pending"),
    "payment.authorized": _progress("authorized"),
    "payment.failed": _progress("failed"),
    "payment.captured": _captured,
    "order.paid": _paid,
    "invoice.paid": _paid,
    "invoice.partially_paid": _paid,
    "payment_link.paid": _paid,
    "payment_link.partially_paid": _paid,
    "qr_code.credited": _paid,
    "virtual_account.credited": _paid,
    "subscription.charged": _paid,
    "refund.created": _refund("pending"),
    "refund.processed": _refund("processed"),
    "refund.failed": _refund("failed"),
    "refund.speed_changed": _refund("pending"),
    "payment.dispute.created": _dispute("dispute_opened"),
    "payment.dispute.under_review": _dispute("dispute_opened"),
    "payment.dispute.action_required": _dispute("dispute_opened"),
    "payment.dispute.won": _dispute("dispute_won"),
    "payment.dispute.lost": _dispute("dispute_lost"),
    "payment.dispute.closed": _dispute_closed,
}
"""The types that report money. docs/providers/razorpay.md says why each of the others is recorded only."""

OBJECTS: Mapping[str, _Extract] = {
    "reconcile.payment": _payment,
    "reconcile.refund": _refund("pending"),
    "reconcile.dispute": _dispute_now,
}
"""What the API lists, in an event's form (`providers.razorpay.api`)."""
