"""Stripe: payment intents, charges, refunds and disputes (https://docs.stripe.com/api/events/types)."""

from collections.abc import Callable, Sequence

from consumers.facts.base import Currency, Fact, Id, Kind, MinorUnits, Model
from contract.event import Event


class _Refund(Model):
    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None
    """None: an API version from before refunds could fail."""


class _Refunds(Model):
    data: tuple[_Refund, ...] = ()


class _Object(Model):
    """The parts of a payment intent, a charge, a refund or a dispute that tell about money."""

    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None
    amount_received: MinorUnits | None = None
    amount_captured: MinorUnits | None = None
    amount_refunded: MinorUnits = 0
    captured: bool = True
    refunds: _Refunds | None = None

    @property
    def received(self) -> int:
        """What a succeeded payment intent brought in."""
        return self.amount if self.amount_received is None else self.amount_received

    @property
    def taken(self) -> int:
        """What was captured of a charge; old API versions tell it by the flag `captured` alone."""
        if self.amount_captured is None:
            return self.amount if self.captured else 0
        return self.amount_captured


class _Data(Model):
    object: _Object


class _Event(Model):
    data: _Data


def read(event: Event) -> Sequence[Fact]:
    """A payment intent has one charge that succeeds, so both tell of one movement: it is named after the payment."""
    tell = TYPES.get(event.type)
    return tell(event.resource, _Event.model_validate_json(event.body).data.object) if tell else ()


def _pending(_: str, intent: _Object) -> list[Fact]:
    return [Fact("pending", intent.amount, intent.currency)]


def _authorized(_: str, intent: _Object) -> list[Fact]:
    return [Fact("authorized", intent.amount, intent.currency)]


def _failed(_: str, intent: _Object) -> list[Fact]:
    return [Fact("failed", intent.amount, intent.currency)]


def _canceled(_: str, intent: _Object) -> list[Fact]:
    return [Fact("canceled", intent.amount, intent.currency)]


def _intent_succeeded(payment: str, intent: _Object) -> list[Fact]:
    return [*_authorized(payment, intent), Fact("captured", intent.received, intent.currency, payment)]


def _charge_succeeded(payment: str, charge: _Object) -> list[Fact]:
    if not charge.captured:  # only authorized as yet
        return _authorized(payment, charge)
    return [*_authorized(payment, charge), Fact("captured", charge.taken, charge.currency, payment)]


def _charge_refunded(payment: str, charge: _Object) -> list[Fact]:
    refunds = charge.refunds.data if charge.refunds else ()  # only API versions before 2022-11-15 list them here
    return [
        *_charge_succeeded(payment, charge),
        Fact("refunded_total", charge.amount_refunded, charge.currency),
        *(fact for refund in refunds for fact in _refund(refund)),
    ]


def _refund(refund: _Refund | _Object) -> list[Fact]:
    """Money leaves when a refund is made; one that fails or is canceled gives it back."""
    if refund.status == "requires_action":  # the customer has to tell where the money shall go
        return []
    kind: Kind = "refund_failed" if refund.status in ("failed", "canceled") else "refunded"
    return [Fact(kind, refund.amount, refund.currency, refund.id)]


def _refund_object(_: str, refund: _Object) -> list[Fact]:
    return _refund(refund)


def _dispute(kind: Kind) -> Callable[[str, _Object], list[Fact]]:
    return lambda _, dispute: [Fact(kind, dispute.amount, dispute.currency, dispute.id)]


_CLOSED: dict[str, Kind] = {"won": "dispute_won", "lost": "dispute_lost", "warning_closed": "dispute_won"}


def _dispute_closed(payment: str, dispute: _Object) -> list[Fact]:
    kind = _CLOSED.get(dispute.status or "")
    return _dispute(kind)(payment, dispute) if kind else []


TYPES: dict[str, Callable[[str, _Object], Sequence[Fact]]] = {
    "payment_intent.created": _pending,
    "payment_intent.processing": _pending,
    "payment_intent.requires_action": _pending,
    "payment_intent.amount_capturable_updated": _authorized,
    "payment_intent.payment_failed": _failed,
    "payment_intent.canceled": _canceled,
    "payment_intent.succeeded": _intent_succeeded,
    "charge.pending": _pending,
    "charge.failed": _failed,
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_succeeded,
    "charge.refunded": _charge_refunded,
    "charge.refund.updated": _refund_object,
    "refund.created": _refund_object,
    "refund.updated": _refund_object,
    "refund.failed": _refund_object,
    "charge.dispute.created": _dispute("dispute_opened"),
    "charge.dispute.funds_withdrawn": _dispute("funds_withdrawn"),
    "charge.dispute.funds_reinstated": _dispute("funds_reinstated"),
    "charge.dispute.closed": _dispute_closed,
}
"""The types that tell about money. All others are recorded, and move nothing."""
