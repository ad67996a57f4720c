"""Paddle Billing: transactions and their adjustments.

Sources: developer.paddle.com/webhooks with a page on each event, "Adjustments" and "Currencies" in its API reference,
and the entities of paddle-python-sdk. What a customer pays is `grand_total`: the total less credits, before payments.
It changes during the checkout, so only a billed, attempted or finished transaction reports money.
"""

from collections.abc import Sequence
from dataclasses import replace

from contract.event import Event
from contract.facts import Fact, Kind
from providers.complete import read_complete_json
from providers.facts import ExtractFacts
from providers.paddle.models import Adjustment, AdjustmentEvent, TransactionEvent


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _transaction(kind: Kind) -> ExtractFacts:
    """Return the amount. A transaction is captured once and in full, so its capture is named after it."""

    def extract(event: Event) -> Sequence[Fact]:
        data = read_complete_json(TransactionEvent, event.body).data
        object_ = data.id if kind == "captured" else ""
        return [Fact(kind, data.details.totals.due, data.currency_code, object_)]

    return extract


def _adjustment(event: Event) -> Sequence[Fact]:
    """Return nothing for a refund until Paddle approves it, nor for a credit.

    A credit lowers what is due, or goes to the customer's balance at Paddle; the seller's money does not move.
    """
    adjustment = read_complete_json(AdjustmentEvent, event.body).data
    refund = _REFUNDS.get((adjustment.action, adjustment.status))
    if refund:
        return [_fact(refund, adjustment, adjustment.id)]
    states, transfer = _CHARGEBACKS.get((adjustment.action, adjustment.status), ((), None))
    warning = "/warning" if adjustment.action.startswith("chargeback_warning") else ""
    dispute = adjustment.transaction_id + warning
    facts = [_fact(state, adjustment, dispute) for state in states]
    if transfer:
        facts.append(replace(_fact(transfer, adjustment, adjustment.id), dispute=dispute))
    return facts


def _fact(kind: Kind, adjustment: Adjustment, object_: str) -> Fact:
    return Fact(kind, adjustment.totals.total, adjustment.currency_code, object_)


_REFUNDS: dict[tuple[str, str], Kind] = {
    ("refund", "approved"): "refunded",
    ("refund", "reversed"): "refund_failed",
}
"""By action and status."""

_TAKEN: tuple[tuple[Kind, ...], Kind] = (("dispute_opened",), "funds_withdrawn")
_RETURNED: tuple[tuple[Kind, ...], Kind] = (("dispute_won",), "funds_reinstated")
_REVERSED: tuple[tuple[Kind, ...], None] = (("dispute_won",), None)

_CHARGEBACKS: dict[tuple[str, str], tuple[tuple[Kind, ...], Kind | None]] = {
    ("chargeback", "approved"): _TAKEN,
    ("chargeback", "reversed"): _REVERSED,
    ("chargeback_reverse", "approved"): _RETURNED,
    ("chargeback_warning", "approved"): _TAKEN,
    ("chargeback_warning", "reversed"): _REVERSED,
    ("chargeback_warning_reverse", "approved"): _RETURNED,
}
"""By action and status: the dispute's states, and its transfer.

A bank may present a chargeback again that was reversed. Each is an adjustment with an id of its own, and so is each
reversal, which names the transaction but not the chargeback. So a transaction has one dispute, with a transfer for each
adjustment. A chargeback becomes `reversed` "when a chargeback_reversal […] is created for this adjustment" (Paddle's
API reference, adjustment status): the reversal's own event reports that money, and the chargeback's does not again.

Paddle takes a chargeback from the seller's balance at once, and gives it back if it contests it successfully. On a
warning, Paddle refunds the customer to prevent a chargeback (paddle.com/help, "Understanding chargebacks with Paddle").
That is another amount of money than a chargeback that comes nevertheless, so it is a dispute of its own.
"""

TYPES: dict[str, ExtractFacts] = {
    "transaction.billed": _transaction("pending"),
    "transaction.past_due": _transaction("pending"),
    "transaction.payment_failed": _transaction("failed"),
    "transaction.canceled": _transaction("canceled"),
    "transaction.paid": _transaction("captured"),
    "transaction.completed": _transaction("captured"),
    "adjustment.created": _adjustment,
    "adjustment.updated": _adjustment,
}
"""The types that report money. docs/providers/paddle.md says why each of the others is recorded only."""
