"""Stripe: payment intents, charges, refunds and disputes (https://docs.stripe.com/api/events/types).

* A payment intent has one charge that succeeds. Both report the same capture, so it is named after the payment.
* Where a payment may be captured several times (https://docs.stripe.com/payments/multicapture), only
  `payment_intent.succeeded` reports the capture, with the sum. What a charge reports before is a running total.
* Releasing what was authorized and not captured is a "refund" at Stripe, but moves no money. It is counted in the
  charge's `amount_refunded`, and is a refund without a `balance_transaction` ("the impact on your account balance").
"""

from collections.abc import Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import ExtractFacts
from providers.stripe.models import Charge, ChargeEvent, DisputeEvent, Money, PaymentIntentEvent, Refund, RefundEvent

_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Decimals of Stripe's amounts that differ from ISO 4217 (https://docs.stripe.com/currencies#special-cases)."""


def _fact(kind: Kind, money: Money, object_: str = "", amount: int | None = None) -> Fact:
    """Return a fact about the object's amount, or about another amount in its currency."""
    amount = money.amount if amount is None else amount
    exponent = _EXPONENTS.get(money.currency)
    if exponent is not None:
        amount = minor_units(Decimal(amount).scaleb(-exponent), money.currency)
    return Fact(kind, amount, money.currency, object_)


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _intent(kind: Kind) -> ExtractFacts:
    return lambda event: [_fact(kind, PaymentIntentEvent.model_validate_json(event.body).data.object)]


def _intent_succeeded(event: Event) -> Sequence[Fact]:
    intent = PaymentIntentEvent.model_validate_json(event.body).data.object
    return [_fact("authorized", intent), _fact("captured", intent, event.resource, intent.amount_received)]


def _charge(kind: Kind) -> ExtractFacts:
    return lambda event: [_fact(kind, ChargeEvent.model_validate_json(event.body).data.object)]


def _charge_succeeded(event: Event) -> Sequence[Fact]:
    return _captured(event.resource, ChargeEvent.model_validate_json(event.body).data.object)


def _captured(payment: str, charge: Charge) -> list[Fact]:
    facts = [_fact("authorized", charge)]
    if charge.captured and not charge.captured_in_parts:
        facts.append(_fact("captured", charge, payment, charge.captured_amount))
    return facts


def _charge_refunded(event: Event) -> Sequence[Fact]:
    charge = ChargeEvent.model_validate_json(event.body).data.object
    if not charge.captured:  # the authorization was released: there was no money to refund
        return [_fact("authorized", charge), _fact("canceled", charge)]
    refunds = charge.refunds.data if charge.refunds else ()
    return [
        *_captured(event.resource, charge),
        _fact("refunded_total", charge, amount=charge.refunded_amount),
        *(fact for refund in refunds for fact in _refunded(refund)),
    ]


def _refund(event: Event) -> Sequence[Fact]:
    return _refunded(RefundEvent.model_validate_json(event.body).data.object)


def _refunded(refund: Refund) -> list[Fact]:
    """Return nothing for a refund that moved no money: it waits for the balance or the customer, or was a release."""
    if refund.status in ("failed", "canceled"):
        return [_fact("refund_failed", refund, refund.id)]
    if refund.balance_transaction is None or refund.status == "requires_action":
        return []
    return [_fact("refunded", refund, refund.id)]


def _dispute(*kinds: Kind) -> ExtractFacts:
    """Return an extractor of these facts, and of the dispute's outcome where its status is final."""

    def extract(event: Event) -> Sequence[Fact]:
        dispute = DisputeEvent.model_validate_json(event.body).data.object
        outcome = _OUTCOMES.get(dispute.status or "")
        return [_fact(kind, dispute, dispute.id) for kind in (*kinds, *([outcome] if outcome else []))]

    return extract


_OUTCOMES: dict[str, Kind] = {
    "won": "dispute_won",
    "lost": "dispute_lost",
    "warning_closed": "dispute_won",  # an inquiry that never became a dispute
    "charge_refunded": "dispute_won",  # in old API versions; the refund has events of its own
    "prevented": "dispute_lost",  # the network paid the customer back before it became a chargeback
}
"""The final statuses of a dispute; with any other it is open (https://docs.stripe.com/api/disputes/object)."""

TYPES: dict[str, ExtractFacts] = {
    "payment_intent.created": _intent("pending"),
    "payment_intent.processing": _intent("pending"),
    "payment_intent.requires_action": _intent("pending"),
    "payment_intent.partially_funded": _intent("pending"),  # a bank transfer; it is captured once it is funded in full
    "payment_intent.amount_capturable_updated": _intent("authorized"),
    "payment_intent.payment_failed": _intent("failed"),
    "payment_intent.canceled": _intent("canceled"),
    "payment_intent.succeeded": _intent_succeeded,
    "charge.pending": _charge("pending"),
    "charge.failed": _charge("failed"),
    "charge.expired": _charge("canceled"),
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_succeeded,
    "charge.refunded": _charge_refunded,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute("dispute_opened"),
    "charge.dispute.updated": _dispute("dispute_opened"),
    "charge.dispute.closed": _dispute(),
    "charge.dispute.funds_withdrawn": _dispute("funds_withdrawn"),
    "charge.dispute.funds_reinstated": _dispute("funds_reinstated"),
}
"""The types that report money. All others are recorded, and move nothing."""
