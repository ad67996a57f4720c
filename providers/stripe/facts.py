"""Stripe: payment intents, charges, refunds and disputes (https://docs.stripe.com/api/events/types).

A payment intent has one charge that succeeds, and both tell of one capture, so that is named after the payment. Where
it may be captured several times (https://docs.stripe.com/payments/multicapture) only `payment_intent.succeeded` tells
it, with the sum: what charges tell before that is a running total, not a movement.

What was authorized and not captured is given back as a "refund", which moves no money. Such a refund is counted in a
charge's `amount_refunded`, and is an object without a `balance_transaction`, "the impact on your account balance".
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.models import Currency, Id, MinorUnits, Model

_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Decimals Stripe counts with where ISO 4217 has others (https://docs.stripe.com/currencies#special-cases)."""


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


class _Intent(_Money):
    amount_received: MinorUnits | None = None


class _Refund(_Money):
    id: Id
    status: str | None = None
    """None: an API version from before refunds could fail."""
    balance_transaction: object = ""
    """None: nothing moved. Absent where only a part of the refund is told."""


class _Refunds(Model):
    data: tuple[_Refund, ...] = ()


class _Multicapture(Model):
    status: str | None = None


class _Card(Model):
    multicapture: _Multicapture | None = None


class _Details(Model):
    card: _Card | None = None


class _Charge(_Money):
    amount_captured: MinorUnits | None = None
    amount_refunded: MinorUnits = 0
    captured: bool = True
    refunds: _Refunds | None = None
    payment_method_details: _Details | None = None

    @property
    def taken(self) -> int:
        """What was captured; API versions before 2020 tell it by the flag `captured` alone."""
        if self.amount_captured is None:
            return self.amount if self.captured else 0
        return self.amount_captured

    @property
    def paid_back(self) -> int:
        """What was refunded of that, without what was given back uncaptured."""
        return max(0, self.amount_refunded - max(0, self.amount - self.taken))

    @property
    def captured_in_parts(self) -> bool:
        """Whether more may be captured later."""
        card = self.payment_method_details.card if self.payment_method_details else None
        return bool(card and card.multicapture and card.multicapture.status == "available")


class _Dispute(_Money):
    id: Id
    status: str | None = None


class _IntentData(Model):
    object: _Intent


class _ChargeData(Model):
    object: _Charge


class _RefundData(Model):
    object: _Refund


class _DisputeData(Model):
    object: _Dispute


class _IntentEvent(Model):
    data: _IntentData


class _ChargeEvent(Model):
    data: _ChargeData


class _RefundEvent(Model):
    data: _RefundData


class _DisputeEvent(Model):
    data: _DisputeData


Tell = Callable[[Event], Sequence[Fact]]


def extract_facts(event: Event) -> Sequence[Fact]:
    """What the event tells, by its type."""
    tell = TYPES.get(event.type)
    return tell(event) if tell else ()


def _intent(kind: Kind) -> Tell:
    return lambda event: [_IntentEvent.model_validate_json(event.body).data.object.fact(kind)]


def _intent_succeeded(event: Event) -> Sequence[Fact]:
    intent = _IntentEvent.model_validate_json(event.body).data.object
    return [intent.fact("authorized"), intent.fact("captured", event.resource, intent.amount_received)]


def _charge(kind: Kind) -> Tell:
    return lambda event: [_ChargeEvent.model_validate_json(event.body).data.object.fact(kind)]


def _charge_succeeded(event: Event) -> Sequence[Fact]:
    return _captured(event.resource, _ChargeEvent.model_validate_json(event.body).data.object)


def _captured(payment: str, charge: _Charge) -> list[Fact]:
    facts = [charge.fact("authorized")]
    if charge.captured and not charge.captured_in_parts:
        facts.append(charge.fact("captured", payment, charge.taken))
    return facts


def _charge_refunded(event: Event) -> Sequence[Fact]:
    charge = _ChargeEvent.model_validate_json(event.body).data.object
    if not charge.captured:  # a hold was released: there was no money to refund
        return [charge.fact("authorized"), charge.fact("canceled")]
    refunds = charge.refunds.data if charge.refunds else ()  # only API versions before 2022-11-15 list them here
    return [
        *_captured(event.resource, charge),
        charge.fact("refunded_total", amount=charge.paid_back),
        *(fact for refund in refunds for fact in _refunded(refund)),
    ]


def _refund(event: Event) -> Sequence[Fact]:
    return _refunded(_RefundEvent.model_validate_json(event.body).data.object)


def _refunded(refund: _Refund) -> list[Fact]:
    """Nothing for a refund that has moved no money: one that waits for the balance or for the customer, or a hold's."""
    if refund.status in ("failed", "canceled"):
        return [refund.fact("refund_failed", refund.id)]
    if refund.balance_transaction is None or refund.status == "requires_action":
        return []
    return [refund.fact("refunded", refund.id)]


def _dispute(*kinds: Kind) -> Tell:
    def tell(event: Event) -> Sequence[Fact]:
        dispute = _DisputeEvent.model_validate_json(event.body).data.object
        outcome = _OUTCOMES.get(dispute.status or "")
        told: tuple[Kind, ...] = kinds if outcome is None else (*kinds, outcome)
        return [dispute.fact(kind, dispute.id) for kind in told]

    return tell


_OUTCOMES: dict[str, Kind] = {
    "won": "dispute_won",
    "lost": "dispute_lost",
    "warning_closed": "dispute_won",  # an inquiry that never became a dispute
    "charge_refunded": "dispute_won",  # of old: it was refunded before, and that is told by itself
    "prevented": "dispute_lost",  # the network paid the customer back, before it became a chargeback
}
"""The statuses that end a dispute; all others leave it open (https://docs.stripe.com/api/disputes/object)."""

TYPES: dict[str, Tell] = {
    "payment_intent.created": _intent("pending"),
    "payment_intent.processing": _intent("pending"),
    "payment_intent.requires_action": _intent("pending"),
    "payment_intent.partially_funded": _intent("pending"),  # a bank transfer; it is captured once it is funded whole
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
"""The types that tell about money. All others are recorded, and move nothing."""
