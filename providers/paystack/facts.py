"""Paystack: charges, preauthorizations, refunds and disputes.

Sources: paystack.com/docs/payments/webhooks with its samples in PaystackOSS/doc-code-snippets, "Preauthorization",
"Refunds", and "Manage disputes". Amounts are in hundredths in every currency, as in Paystack's own plugin
(PaystackOSS/woo-paystack). That includes XOF and RWF, which have no minor unit in ISO 4217.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete_json
from providers.facts import ExtractFacts, IncompleteError
from providers.paystack.models import (
    ChargeEvent,
    Dispute,
    DisputedTransaction,
    DisputeEvent,
    HoldEvent,
    RefundedTransaction,
    RefundEvent,
    TransactionEvent,
)


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type; those of an object only if Paystack's API said it."""
    extract = TYPES.get(event.type) or (OBJECTS.get(event.type) if event.signed == "api" else None)
    return extract(event) if extract else ()


def _fact(kind: Kind, hundredths: int, currency: str, object_: str = "") -> Fact:
    return Fact(kind, minor_units(Decimal(hundredths).scaleb(-2), currency), currency, object_)


def _charge(event: Event) -> Sequence[Fact]:
    """Return the capture, named by the unique reference of its transaction, which succeeds only once."""
    charge = read_complete_json(ChargeEvent, event.body).data
    captured = _fact("captured", charge.amount, charge.currency, charge.reference)
    requested = charge.requested_amount
    if requested is None or requested <= charge.amount:
        return [captured]
    return [_fact("authorized", requested, charge.currency), captured]


def _hold(kind: Kind) -> ExtractFacts:
    """Return the state of a preauthorization. A capture or a release that failed leaves the amount held."""

    def extract(event: Event) -> Sequence[Fact]:
        hold = read_complete_json(HoldEvent, event.body).data
        return [_fact(kind, hold.amount, hold.currency)]

    return extract


def _hold_captured(event: Event) -> Sequence[Fact]:
    """Return the capture, of all or a part. Its transaction may have a `charge.success` too, with the same name.

    Where the transaction has another reference than the hold, the money is the transaction's, which charges, refunds
    and disputes name. The hold is then a row of its own that has succeeded, with nothing captured under its name.
    """
    hold = read_complete_json(HoldEvent, event.body).data
    captured = hold.amount if hold.captured_amount is None else hold.captured_amount
    authorized = _fact("authorized", hold.amount, hold.currency)
    facts = [authorized, _fact("captured", captured, hold.currency, hold.capture_id)]
    if hold.reference != hold.capture_id:
        facts += [
            replace(authorized, payment=hold.reference),
            replace(_fact("captured", 0, hold.currency, hold.reference), payment=hold.reference),
        ]
    return facts


def _refund_processed(event: Event) -> Sequence[Fact]:
    refund = read_complete_json(RefundEvent, event.body).data
    if refund.refund_reference is None:
        raise IncompleteError("the refund was processed and has no reference, by which it is booked only once")
    return [_fact("refunded", refund.amount, refund.currency, refund.refund_reference)]


def _refund_failed(event: Event) -> Sequence[Fact]:
    """Return nothing for a refund without a reference: it was never processed, so that no money comes back."""
    refund = read_complete_json(RefundEvent, event.body).data
    if refund.refund_reference is None:
        return []
    return [_fact("refund_failed", refund.amount, refund.currency, refund.refund_reference)]


def _dispute_opened(event: Event) -> Sequence[Fact]:
    return [_dispute_fact("dispute_opened", read_complete_json(DisputeEvent, event.body).data)]


def _dispute_resolved(event: Event) -> Sequence[Fact]:
    """Return the outcome only. An accepted dispute is paid by a refund, which has events of its own."""
    dispute = read_complete_json(DisputeEvent, event.body).data
    kind = _RESOLUTIONS.get(dispute.resolution or "")
    return [_dispute_fact(kind, dispute)] if kind else []


def _dispute_fact(kind: Kind, dispute: Dispute) -> Fact:
    """Return a fact about the claimed amount, or about the whole transaction where no amount is claimed yet."""
    transaction = dispute.transaction or DisputedTransaction()
    amount = transaction.amount if dispute.refund_amount is None else dispute.refund_amount
    currency = dispute.currency or transaction.currency
    if amount is None or currency is None:
        raise IncompleteError("neither the dispute nor its transaction has an amount and a currency")
    return _fact(kind, amount, currency, dispute.id)


def _transaction(event: Event) -> Sequence[Fact]:
    """Return the capture of a transaction that succeeded. One that was `reversed` succeeded before."""
    status = read_complete_json(TransactionEvent, event.body).data.status
    return _charge(event) if status in ("success", "reversed") else []


def _refunds(event: Event) -> Sequence[Fact]:
    """Return the sum of a transaction's processed refunds.

    The API does not name a refund as `refund.processed` does, so that none can be booked from it: what is booked under
    one name would be booked again under the other.
    """
    transaction, refunds = read_complete_json(RefundedTransaction, event.body).data, []
    for refund in transaction.refunds:
        if refund.currency != transaction.currency:
            raise IncompleteError("a refund is in another currency than its transaction, so that there is no sum")
        refunds += [refund.amount] if refund.status == "processed" else []
    return [_fact("refunded_total", sum(refunds), transaction.currency)] if refunds else []


def _dispute_now(event: Event) -> Sequence[Fact]:
    """Use the dispute's own resolution, or else its status. One that was archived without a resolution says nothing."""
    dispute = read_complete_json(DisputeEvent, event.body).data
    if _RESOLUTIONS.get(dispute.resolution or ""):
        return _dispute_resolved(event)
    return _dispute_opened(event) if dispute.status in _OPEN else []


_OPEN = frozenset({"pending", "awaiting-merchant-feedback", "awaiting-bank-feedback"})

_RESOLUTIONS: dict[str, Kind] = {
    "merchant-accepted": "dispute_lost",
    "auto-accepted": "dispute_lost",
    "declined": "dispute_won",
}

TYPES: dict[str, ExtractFacts] = {
    "charge.success": _charge,
    "preauthorization.reserve.success": _hold("authorized"),
    "preauthorization.capture.success": _hold_captured,
    "preauthorization.capture.failed": _hold("authorized"),
    "preauthorization.release.success": _hold("canceled"),
    "preauthorization.release.failed": _hold("authorized"),
    "refund.processed": _refund_processed,
    "refund.failed": _refund_failed,
    "charge.dispute.create": _dispute_opened,
    "charge.dispute.resolve": _dispute_resolved,
}
"""The types that report money. docs/providers/paystack.md says why each of the others is recorded only."""

OBJECTS: dict[str, ExtractFacts] = {
    "reconcile.transaction": _transaction,
    "reconcile.refunds": _refunds,
    "reconcile.dispute": _dispute_now,
}
"""What the API lists, in an event's form (`providers.paystack.api`)."""
