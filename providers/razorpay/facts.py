"""Razorpay: payments, refunds and disputes (razorpay.com/docs/webhooks: payments, refunds, disputes, all).

Amounts are in "currency subunits", the minor units of ISO 4217: none for JPY, three digits for KWD, BHD and OMR.

* A payment is captured once and whole, and many events tell of it (payment.captured, order.paid, invoice.paid …), so
  the capture is named after the payment.
* A refund moved money once its status is `processed`, which may be as soon as it is created; `pending` moved nothing.
* The payment's `amount_refunded` is not told as a total: it also holds refunds that are pending, and may fail.
* Refunds of a payment that was never captured, which Razorpay makes by itself, are no refund by the merchant: they are
  told as the payment's end (docs/webhooks/refunds, "Identify Auto-Refunds").
* A dispute takes `amount_deducted` when it is lost, and nothing before (docs/api/disputes/entity).
"""

from collections.abc import Callable, Mapping, Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from providers.facts import UnreadableError
from providers.models import Currency, Id, MinorUnits, Model


class _Payment(Model):
    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None
    captured: bool | None = None


class _Refund(Model):
    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None


class _Dispute(Model):
    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None
    amount_deducted: MinorUnits = 0


class _PaymentMember(Model):
    entity: _Payment


class _RefundMember(Model):
    entity: _Refund


class _DisputeMember(Model):
    entity: _Dispute


class _Payload(Model):
    payment: _PaymentMember | None = None
    refund: _RefundMember | None = None
    dispute: _DisputeMember | None = None


class _Event(Model):
    payload: _Payload


def extract_facts(event: Event) -> Sequence[Fact]:
    """What the members of the payload say."""
    tell = TYPES.get(event.type)
    return tell(_Event.model_validate_json(event.body).payload) if tell else ()


def _state(kind: Kind) -> Callable[[_Payload], list[Fact]]:
    """How far the payment came, as the type says: the payment itself may have come further when it is sent."""

    def tell(payload: _Payload) -> list[Fact]:
        payment = _payment(payload)
        return [Fact(kind, payment.amount, payment.currency)]

    return tell


def _captured(payload: _Payload) -> list[Fact]:
    payment = _payment(payload)
    return [Fact("captured", payment.amount, payment.currency, payment.id)]


def _paid(payload: _Payload) -> list[Fact]:
    """An order, invoice, link, QR code or subscription that was paid, if the payment is beside it and is captured."""
    payment = payload.payment.entity if payload.payment else None
    return _captured(payload) if payment and payment.status == "captured" else []


def _refund(status: str) -> Callable[[_Payload], list[Fact]]:
    """What the refund's status says; `status` is what the type says, for refunds from before they had one."""

    def tell(payload: _Payload) -> list[Fact]:
        if payload.refund is None:
            raise UnreadableError("there is no refund in the payload")
        refund = payload.refund.entity
        payment = payload.payment.entity if payload.payment else None
        kind = _REFUND_STATUSES.get(status if refund.status is None else refund.status)
        if kind is None:
            return []
        if payment and payment.captured is False:
            return [Fact("canceled", payment.amount, payment.currency)] if kind == "refunded" else []
        return [Fact(kind, refund.amount, refund.currency, refund.id)]

    return tell


def _dispute(kind: Kind) -> Callable[[_Payload], list[Fact]]:
    return lambda payload: [_about(kind, _disputed(payload))]


def _dispute_lost(payload: _Payload) -> list[Fact]:
    dispute = _disputed(payload)
    lost = [_about("dispute_lost", dispute)]
    if dispute.amount_deducted:
        lost.append(Fact("funds_withdrawn", dispute.amount_deducted, dispute.currency, dispute.id))
    return lost


def _dispute_closed(payload: _Payload) -> list[Fact]:
    """Closed is also what was won or lost. Alone it means that no money was taken: all was explained, or refunded."""
    return _dispute_lost(payload) if _disputed(payload).status == "lost" else _dispute("dispute_won")(payload)


def _about(kind: Kind, dispute: _Dispute) -> Fact:
    return Fact(kind, dispute.amount, dispute.currency, dispute.id)


def _payment(payload: _Payload) -> _Payment:
    if payload.payment is None:
        raise UnreadableError("there is no payment in the payload")
    return payload.payment.entity


def _disputed(payload: _Payload) -> _Dispute:
    if payload.dispute is None:
        raise UnreadableError("there is no dispute in the payload")
    return payload.dispute.entity


_REFUND_STATUSES: Mapping[str, Kind] = {"processed": "refunded", "failed": "refund_failed"}

TYPES: Mapping[str, Callable[[_Payload], Sequence[Fact]]] = {
    "payment.pending": _state("pending"),
    "payment.authorized": _state("authorized"),
    "payment.failed": _state("failed"),
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
    "payment.dispute.lost": _dispute_lost,
    "payment.dispute.closed": _dispute_closed,
}
"""The types that tell about money. All others are recorded, and move nothing."""
