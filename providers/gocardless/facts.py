"""GoCardless: payments by direct debit and their refunds, as its API has them.

Its events name no amount, so what is delivered moves no money. What the API was asked (`providers.gocardless.api`)
does: the event says what happened, the object how much it was about. An object's state is the present one and is not
read: events come in any order, and each is about its own moment.

Sources: developer.gocardless.com/api-reference, "Events", with a sentence on each action; gocardless-pro.

* A payment that failed may be collected again, and one that was confirmed may fail late. So a capture has the name of
  the event that confirmed it, and a failure looks for it in the payment's history: what was confirmed last, and has not
  failed since, is what it takes back.
* A chargeback returns the money to the customer at once; the bank may cancel it. Each is a transfer of its own, named
  by its event, of the payment's one dispute.
"""

from collections.abc import Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from providers.complete import read_complete_json
from providers.facts import ExtractFacts
from providers.gocardless.models import AnyBody, ConfirmedPayment, ConfirmedRefund, KnownEvent, Payment
from providers.payload import first_id


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts of an event that the API was asked about, by its type. Another one reports none."""
    extract = TYPES.get(event.type)
    return extract(event) if extract and is_confirmed(event) else ()


def is_confirmed(event: Event) -> bool:
    """Return whether the event's body has what the API said about its object."""
    return event.signed == "api" and read_complete_json(AnyBody, event.body).event is not None


def _fact(kind: Kind, money: Payment, object_: str = "") -> Fact:
    return Fact(kind, money.amount, money.currency, object_)


def _state(kind: Kind) -> ExtractFacts:
    def extract(event: Event) -> Sequence[Fact]:
        return [_fact(kind, read_complete_json(ConfirmedPayment, event.body).payment.payments)]

    return extract


def _confirmed(event: Event) -> Sequence[Fact]:
    confirmed = read_complete_json(ConfirmedPayment, event.body)
    return [_fact("captured", confirmed.payment.payments, confirmed.event.id)]


def _failed(event: Event) -> Sequence[Fact]:
    """Return the failure of what had been confirmed, else that nothing was collected."""
    confirmed = read_complete_json(ConfirmedPayment, event.body)
    before = [each for each in confirmed.history.events if each.action in _ENDS and each.at < confirmed.event.at]
    last = max(before, key=_order, default=None)
    if last is None or last.action != "confirmed":
        return [_fact("failed", confirmed.payment.payments)]
    return [_fact("capture_failed", confirmed.payment.payments, last.id)]


_ENDS = frozenset({"confirmed", "failed"})
"""The actions that end an attempt to collect a payment."""


def _order(event: KnownEvent) -> tuple[object, str]:
    return event.at, event.id


def _chargeback(state: Kind, transfer: Kind | None) -> ExtractFacts:
    def extract(event: Event) -> Sequence[Fact]:
        confirmed = read_complete_json(ConfirmedPayment, event.body)
        payment = confirmed.payment.payments
        facts = [_fact(state, payment, payment.id)]
        if transfer:
            facts.append(Fact(transfer, payment.amount, payment.currency, confirmed.event.id, dispute=payment.id))
        return facts

    return extract


def _refund(kind: Kind) -> ExtractFacts:
    """Return nothing for a refund without a payment: it gives back what is on no payment's account."""

    def extract(event: Event) -> Sequence[Fact]:
        refund = read_complete_json(ConfirmedRefund, event.body).refund.refunds
        payment = first_id(refund.payment)
        if payment is None:
            return []
        return [Fact(kind, refund.amount, refund.currency, refund.id, payment=payment)]

    return extract


TYPES: dict[str, ExtractFacts] = {
    "payments.created": _state("pending"),
    "payments.customer_approval_granted": _state("pending"),
    "payments.submitted": _state("pending"),
    "payments.resubmission_requested": _state("pending"),
    "payments.cancelled": _state("canceled"),
    "payments.customer_approval_denied": _state("canceled"),
    "payments.confirmed": _confirmed,
    "payments.failed": _failed,
    "payments.charged_back": _chargeback("dispute_opened", "funds_withdrawn"),
    "payments.chargeback_cancelled": _chargeback("dispute_won", "funds_reinstated"),
    "payments.chargeback_settled": _chargeback("dispute_lost", None),
    "refunds.paid": _refund("refunded"),
    "refunds.refund_settled": _refund("refunded"),
    "refunds.failed": _refund("refund_failed"),
    "refunds.funds_returned": _refund("refund_failed"),
}
"""The types that report money. docs/providers/gocardless.md says why each of the others is recorded only."""
