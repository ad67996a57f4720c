"""Checkout.com: payments and disputes (https://www.checkout.com/docs/workflows/webhook-event-types).

Each capture and each refund is an action of its payment, and is named after that (`action_id`): there may be several.
What is only requested (`payment_capture_pending`, `payment_refund_pending`) or was declined (`…_declined`) has moved
nothing. A payout looks like a payment, but for its `destination`; it is none.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import Currency, Id, MinorUnits, Model

_EXPONENTS = dict.fromkeys(("CLF", "CLP", "UYI", "UYW"), 2)
"""Decimals Checkout.com counts with where ISO 4217 has others: two, unless a currency is in its lists of those with
none and three (https://www.checkout.com/docs/payments/accept-payments/format-the-amount-value)."""


class _Money(Model):
    amount: MinorUnits
    currency: Currency

    def fact(self, kind: Kind, object_: str = "", amount: int | None = None) -> Fact:
        """A fact about this amount, or about another one in the same currency."""
        amount = self.amount if amount is None else amount
        exponent = _EXPONENTS.get(self.currency)
        if exponent is not None:
            amount = minor_units(Decimal(amount).scaleb(-exponent), self.currency)
        return Fact(kind, amount, self.currency, object_)


class _Balances(Model):
    """What became of the payment so far."""

    total_authorized: MinorUnits
    total_refunded: MinorUnits = 0
    available_to_capture: MinorUnits = 0


class _Payment(_Money):
    balances: _Balances | None = None
    destination: object = None

    @property
    def is_payout(self) -> bool:
        """Whether money is sent, not taken."""
        return self.destination is not None

    def authorized(self) -> list[Fact]:
        """What the payment is for, where the event says it."""
        return [self.fact("authorized", amount=self.balances.total_authorized)] if self.balances else []


class _Action(_Payment):
    action_id: Id


class _Dispute(_Money):
    id: Id
    resolved_reason: str | None = None


class _PaymentEvent(Model):
    data: _Payment


class _ActionEvent(Model):
    data: _Action


class _DisputeEvent(Model):
    data: _Dispute


Tell = Callable[[Event], Sequence[Fact]]


def read(event: Event) -> Sequence[Fact]:
    """What the event tells, by its type."""
    tell = TYPES.get(event.type)
    return tell(event) if tell else ()


def _payment(kind: Kind) -> Tell:
    def tell(event: Event) -> Sequence[Fact]:
        payment = _PaymentEvent.model_validate_json(event.body).data
        return [] if payment.is_payout else [payment.fact(kind)]

    return tell


def _incremented(event: Event) -> Sequence[Fact]:
    """Its own amount is what was added."""
    return _PaymentEvent.model_validate_json(event.body).data.authorized()


def _voided(event: Event) -> Sequence[Fact]:
    """A part may be voided, and the rest be captured still."""
    payment = _PaymentEvent.model_validate_json(event.body).data
    if payment.balances is None:
        return [payment.fact("canceled")]
    if payment.balances.available_to_capture:
        return payment.authorized()
    return [*payment.authorized(), payment.fact("canceled", amount=payment.balances.total_authorized)]


def _captured(event: Event) -> Sequence[Fact]:
    action = _ActionEvent.model_validate_json(event.body).data
    return [*action.authorized(), action.fact("captured", action.action_id)]


def _refunded(event: Event) -> Sequence[Fact]:
    action = _ActionEvent.model_validate_json(event.body).data
    facts = [*action.authorized(), action.fact("refunded", action.action_id)]
    if action.balances:
        facts.append(action.fact("refunded_total", amount=action.balances.total_refunded))
    return facts


def _returned(event: Event) -> Sequence[Fact]:
    """The customer's bank took back what had been paid (ACH and the like). A payout comes back likewise."""
    action = _ActionEvent.model_validate_json(event.body).data
    return [] if action.is_payout else [action.fact("refunded", action.action_id)]


def _dispute(*kinds: Kind) -> Tell:
    def tell(event: Event) -> Sequence[Fact]:
        dispute = _DisputeEvent.model_validate_json(event.body).data
        return [dispute.fact(kind, dispute.id) for kind in kinds]

    return tell


def _resolved(event: Event) -> Sequence[Fact]:
    """It had been refunded already, or else the network's rapid resolution paid the customer back."""
    dispute = _DisputeEvent.model_validate_json(event.body).data
    rapid = dispute.resolved_reason == "rapid_dispute_resolution"
    return [dispute.fact("dispute_lost" if rapid else "dispute_won", dispute.id)]


TYPES: dict[str, Tell] = {
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
    "dispute_received": _dispute("dispute_opened"),
    "dispute_evidence_required": _dispute("dispute_opened", "funds_withdrawn"),  # "your account has been debited"
    "dispute_won": _dispute("dispute_won", "funds_reinstated"),  # "your account has been credited back"
    "dispute_canceled": _dispute("dispute_won", "funds_reinstated"),  # the same
    "dispute_resolved": _resolved,
    "dispute_lost": _dispute("dispute_lost"),
    "dispute_accepted": _dispute("dispute_lost"),
    "dispute_expired": _dispute("dispute_lost"),  # nothing can be answered any more
    "dispute_arbitration_won": _dispute("dispute_won"),
    "dispute_arbitration_lost": _dispute("dispute_lost"),
}
"""The types that tell about money. All others are recorded, and move nothing. What moves for a dispute is quoted from
https://www.checkout.com/docs/reporting-and-insights/events-api/event-types."""
