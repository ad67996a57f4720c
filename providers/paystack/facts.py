"""Paystack: charges, refunds and disputes.

Sources: paystack.com/docs/payments/webhooks with its samples in PaystackOSS/doc-code-snippets, "Refunds", and "Manage
disputes". Amounts are in hundredths in every currency, as in Paystack's own plugin (PaystackOSS/woo-paystack). That
includes XOF and RWF, which have no minor unit in ISO 4217.
"""

from collections.abc import Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import ExtractFacts, UnreadableError
from providers.paystack.models import ChargeEvent, Dispute, DisputeEvent, RefundEvent


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _fact(kind: Kind, hundredths: int, currency: str, object_: str = "") -> Fact:
    return Fact(kind, minor_units(Decimal(hundredths).scaleb(-2), currency), currency, object_)


def _charge(event: Event) -> Sequence[Fact]:
    """Return the capture, named by the unique reference of its transaction, which succeeds only once."""
    charge = ChargeEvent.model_validate_json(event.body).data
    captured = _fact("captured", charge.amount, charge.currency, charge.reference)
    requested = charge.requested_amount
    if requested is None or requested <= charge.amount:
        return [captured]
    return [_fact("authorized", requested, charge.currency), captured]


def _refund(kind: Kind) -> ExtractFacts:
    def extract(event: Event) -> Sequence[Fact]:
        refund = RefundEvent.model_validate_json(event.body).data
        return [_fact(kind, refund.amount, refund.currency, refund.refund_reference)]

    return extract


def _dispute_opened(event: Event) -> Sequence[Fact]:
    return [_dispute_fact("dispute_opened", DisputeEvent.model_validate_json(event.body).data)]


def _dispute_resolved(event: Event) -> Sequence[Fact]:
    """Return the outcome only. An accepted dispute is paid by a refund, which has events of its own."""
    dispute = DisputeEvent.model_validate_json(event.body).data
    kind = _RESOLUTIONS.get(dispute.resolution or "")
    return [_dispute_fact(kind, dispute)] if kind else []


def _dispute_fact(kind: Kind, dispute: Dispute) -> Fact:
    """Return a fact about the claimed amount, or about the whole transaction where no amount is claimed yet."""
    amount = dispute.transaction.amount if dispute.refund_amount is None else dispute.refund_amount
    currency = dispute.currency or dispute.transaction.currency
    if amount is None or currency is None:
        raise UnreadableError("neither the dispute nor its transaction has an amount and a currency")
    return _fact(kind, amount, currency, dispute.id)


_RESOLUTIONS: dict[str, Kind] = {
    "merchant-accepted": "dispute_lost",
    "auto-accepted": "dispute_lost",
    "declined": "dispute_won",
}

TYPES: dict[str, ExtractFacts] = {
    "charge.success": _charge,
    "refund.processed": _refund("refunded"),
    "refund.failed": _refund("refund_failed"),
    "charge.dispute.create": _dispute_opened,
    "charge.dispute.resolve": _dispute_resolved,
}
"""The types that report received money. All others are recorded, and move nothing.

* A refund that is pending, processing or needs attention has not been paid.
* A reminder of a dispute reports nothing new.
* Money received by an invoice or a payment request has a charge, which reports it.
* Transfers are payouts.
"""
