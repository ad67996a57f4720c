"""Paddle Billing: transactions and their adjustments.

Sources: developer.paddle.com/webhooks with a page on each event, "Adjustments" and "Currencies" in its API reference,
and the entities of paddle-python-sdk. What a customer pays is `grand_total`: the total less credits, before payments.
It changes during the checkout, so only a billed, attempted or finished transaction reports money.
"""

from collections.abc import Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from providers.facts import ExtractFacts
from providers.paddle.models import Adjustment, AdjustmentEvent, TransactionEvent


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _transaction(kind: Kind) -> ExtractFacts:
    """Return the amount. A transaction is captured once and in full, so its capture is named after it."""

    def extract(event: Event) -> Sequence[Fact]:
        data = TransactionEvent.model_validate_json(event.body).data
        object_ = data.id if kind == "captured" else ""
        return [Fact(kind, data.details.totals.grand_total, data.currency_code, object_)]

    return extract


def _adjustment(event: Event) -> Sequence[Fact]:
    """Return nothing for a refund until Paddle approves it, nor for a credit.

    A credit lowers what is due, or goes to the customer's balance at Paddle; the seller's money does not move.
    """
    adjustment = AdjustmentEvent.model_validate_json(event.body).data
    action, status = adjustment.action, adjustment.status
    if (action, status) in _REFUNDS:
        return _facts(adjustment, adjustment.id, _REFUNDS[action, status])
    suffix, kinds = _CHARGEBACKS.get((action, status), ("", ()))
    return _facts(adjustment, adjustment.transaction_id + suffix, *kinds)


def _facts(adjustment: Adjustment, object_: str, *kinds: Kind) -> list[Fact]:
    return [Fact(kind, adjustment.totals.total, adjustment.currency_code, object_) for kind in kinds]


_REFUNDS: dict[tuple[str, str], Kind] = {
    ("refund", "approved"): "refunded",
    ("refund", "reversed"): "refund_failed",
}
"""By action and status."""

_TAKEN: tuple[Kind, ...] = ("dispute_opened", "funds_withdrawn")
_RETURNED: tuple[Kind, ...] = ("dispute_won", "funds_reinstated")

_CHARGEBACKS: dict[tuple[str, str], tuple[str, tuple[Kind, ...]]] = {
    ("chargeback", "approved"): ("", _TAKEN),
    ("chargeback", "reversed"): ("", _RETURNED),
    ("chargeback_reverse", "approved"): ("", _RETURNED),
    ("chargeback_warning", "approved"): ("/warning", _TAKEN),
    ("chargeback_warning", "reversed"): ("/warning", _RETURNED),
    ("chargeback_warning_reverse", "approved"): ("/warning", _RETURNED),
}
"""By action and status: the dispute's suffix, and the facts.

A dispute is named after its transaction: the reversal of a chargeback is an adjustment with an id of its own, which
names the transaction but not the chargeback.

Paddle takes a chargeback from the seller's balance at once, and gives it back if it contests it successfully. On a
warning, Paddle refunds the customer to prevent a chargeback (paddle.com/help, "Understanding chargebacks with Paddle").
That is another amount of money than a chargeback that comes nevertheless, so it has a suffix.
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
"""The types that report money. All others are recorded, and move nothing."""
