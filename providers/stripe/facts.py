"""Stripe: payment intents, charges, refunds and disputes (https://docs.stripe.com/api/events/types).

* A payment intent has one charge that succeeds. Both report the same capture, so it is named after the payment.
* Where a payment may be captured several times (https://docs.stripe.com/payments/multicapture), only
  `payment_intent.succeeded` reports the capture, with the sum. What a charge reports before is a running total.
* A payment intent that is canceled after a part was captured keeps that part (`amount_received`).
* A dispute moves what its `balance_transactions` say, in the currency of the account's balance. What comes back may be
  a part (https://support.stripe.com/questions/dispute-for-full-charge-amount-after-a-partial-refund-was-issued). A late
  failure of a bank debit is a dispute too (https://docs.stripe.com/payments/ach-direct-debit).
* Releasing what was authorized and not captured is a "refund" at Stripe, but moves no money. It is counted in the
  charge's `amount_refunded`, and is a refund without a `balance_transaction` ("the impact on your account balance").
* A thin event has no amounts. Where it is confirmed, its object is fetched (`providers.stripe.thin`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from contract.event import EnvelopeError, Event
from contract.facts import DISPUTE_STATES, Fact, Kind
from contract.money import iso_minor_units
from providers.complete import read_complete_json
from providers.facts import ExtractFacts, UnreadableError
from providers.stripe.identity import payment_of
from providers.stripe.models import (
    AnyEvent,
    Charge,
    ChargeEvent,
    Dispute,
    DisputeEvent,
    Money,
    PaymentIntentEvent,
    Refund,
    RefundEvent,
)

_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Decimals of Stripe's amounts that differ from ISO 4217 (https://docs.stripe.com/currencies#special-cases)."""


def _fact(kind: Kind, money: Money, object_: str = "", amount: int | None = None) -> Fact:
    """Return a fact about the object's amount, or about another amount in its currency."""
    amount = iso_minor_units(money.amount if amount is None else amount, money.currency, _EXPONENTS)
    return Fact(kind, amount, money.currency, object_)


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type.

    Where the object of a thin event was fetched, it may name a payment that the event itself does not name.
    """
    extract = TYPES.get(event.type)
    if extract is None:
        return ()
    if event.signed == "api":
        payment = payment_of(read_complete_json(AnyEvent, event.body))
        if payment != event.resource:
            return [replace(fact, payment=payment) for fact in extract(_of_payment(event, payment))]
    return extract(event)


def _of_payment(event: Event, payment: str) -> Event:
    try:
        return replace(event, resource=payment)
    except EnvelopeError as error:
        raise UnreadableError(f"its payment cannot be named: {error}") from None


def _intent(kind: Kind) -> ExtractFacts:
    return lambda event: [_fact(kind, read_complete_json(PaymentIntentEvent, event.body).data.object)]


def _intent_succeeded(event: Event) -> Sequence[Fact]:
    intent = read_complete_json(PaymentIntentEvent, event.body).data.object
    return [_fact("authorized", intent), _fact("captured", intent, event.resource, intent.amount_received)]


def _intent_canceled(event: Event) -> Sequence[Fact]:
    """Return the capture too, of an intent that was captured in part before the rest was canceled."""
    intent = read_complete_json(PaymentIntentEvent, event.body).data.object
    facts = [_fact("canceled", intent)]
    if intent.amount_received:
        facts.append(_fact("captured", intent, event.resource, intent.amount_received))
    return facts


def _charge(kind: Kind) -> ExtractFacts:
    return lambda event: [_fact(kind, read_complete_json(ChargeEvent, event.body).data.object)]


def _charge_expired(event: Event) -> Sequence[Fact]:
    """Return the capture too, of a charge that was captured in part before the rest expired."""
    charge = read_complete_json(ChargeEvent, event.body).data.object
    facts = [_fact("canceled", charge)]
    if charge.captured and charge.amount_captured:
        facts.append(_fact("captured", charge, event.resource, charge.amount_captured))
    return facts


def _charge_succeeded(event: Event) -> Sequence[Fact]:
    return _captured(event.resource, read_complete_json(ChargeEvent, event.body).data.object)


def _captured(payment: str, charge: Charge) -> list[Fact]:
    facts = [_fact("authorized", charge)]
    if charge.captured and not charge.captured_in_parts:
        facts.append(_fact("captured", charge, payment, charge.captured_amount))
    return facts


def _charge_refunded(event: Event) -> Sequence[Fact]:
    charge = read_complete_json(ChargeEvent, event.body).data.object
    if not charge.captured:  # the authorization was released: there was no money to refund
        return [_fact("authorized", charge), _fact("canceled", charge)]
    refunds = charge.refunds.data if charge.refunds else ()
    return [
        *_captured(event.resource, charge),
        _fact("refunded_total", charge, amount=charge.refunded_amount),
        *(fact for refund in refunds for fact in _refunded(refund)),
    ]


def _refund(event: Event) -> Sequence[Fact]:
    return _refunded(read_complete_json(RefundEvent, event.body).data.object)


def _refunded(refund: Refund) -> list[Fact]:
    """Return nothing for a refund that moved no money: it waits for the balance or the customer, or was a release."""
    if refund.status in ("failed", "canceled"):
        return [_fact("refund_failed", refund, refund.id)]
    if refund.balance_transaction is None or refund.status == "requires_action":
        return []
    return [_fact("refunded", refund, refund.id)]


def _dispute(kind: Kind | None = None) -> ExtractFacts:
    """Return an extractor of the dispute's state, its outcome where its status is final, and what moved so far."""

    def extract(event: Event) -> Sequence[Fact]:
        dispute = read_complete_json(DisputeEvent, event.body).data.object
        outcome = OUTCOMES.get(dispute.status or "")
        states = [each for each in (kind if kind in DISPUTE_STATES else None, outcome) if each]
        moved = _moved(dispute) if dispute.moved else _assumed(kind, dispute)
        return [*(_fact(each, dispute, dispute.id) for each in states), *moved]

    return extract


def _moved(dispute: Dispute) -> Iterator[Fact]:
    """Yield a fact for each balance transaction. The first of each kind is named after the dispute."""
    numbers: Counter[Kind] = Counter()
    for each in dispute.moved:
        kind: Kind = "funds_withdrawn" if each.amount < 0 else "funds_reinstated"
        numbers[kind] += 1
        fact = _fact(kind, Money(amount=abs(each.amount), currency=each.currency), dispute.id)
        number = numbers[kind]
        yield fact if number == 1 else replace(fact, object=f"{dispute.id}:{number}", dispute=dispute.id)


def _assumed(kind: Kind | None, dispute: Dispute) -> list[Fact]:
    """Return what the type says, where the dispute does not list what moved: the claimed amount."""
    return [_fact(each, dispute, dispute.id) for each in _ASSUMED.get(kind, ())]


_ASSUMED: dict[Kind | None, tuple[Kind, ...]] = {
    "funds_withdrawn": ("funds_withdrawn",),
    "funds_reinstated": ("funds_withdrawn", "funds_reinstated"),
}
OUTCOMES: dict[str, Kind] = {
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
    "payment_intent.canceled": _intent_canceled,
    "payment_intent.succeeded": _intent_succeeded,
    "charge.pending": _charge("pending"),
    "charge.failed": _charge("failed"),
    "charge.expired": _charge_expired,
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
"""The types that report money. docs/providers/stripe.md says why each of the others is recorded only."""
