"""PayPal: captures, authorizations, refunds, orders and disputes of its second API, and sales of its first.

Source: developer.paypal.com/api/rest/webhooks/event-names, and the objects of its Payments v1 and v2, Orders v2 and
Customer Disputes v1. Amounts are decimal text. HUF, JPY and TWD are written without decimals, which is the same money
in ISO 4217's minor units, where HUF and TWD have two digits (developer.paypal.com/reference/currency-codes).

* The payment is the capture, because refunds and disputes name nothing else. An authorization is a row of its own: its
  events name no capture, and a refund of what was captured names no authorization.
* Captures, refunds and sales have ids of their own, so each transfer is named after its object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete
from providers.facts import ExtractFacts
from providers.models import loads_decimal
from providers.paypal.models import (
    Dispute,
    DisputeEvent,
    Money,
    OrderEvent,
    Payment,
    PaymentEvent,
    PayPalEvent,
    RefundEvent,
    ResourceT,
)


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts that the event reports, by its type."""
    extract = TYPES.get(event.type)
    return extract(event) if extract else ()


def _resource(event: Event, model: type[PayPalEvent[ResourceT]]) -> ResourceT:
    """Return the event's object. An amount may also be a JSON number, which no float rounds on its way."""
    return read_complete(model, loads_decimal(event.body)).resource


def _fact(kind: Kind, money: Money, object_: str = "") -> Fact:
    return Fact(kind, minor_units(money.value, money.currency), money.currency, object_)


def _capture_fact(kind: Kind, capture: Payment) -> Fact:
    return _fact(kind, capture.amount, capture.id if kind == "captured" else "")


def _payment(kind: Kind) -> ExtractFacts:
    return lambda event: [_capture_fact(kind, _resource(event, PaymentEvent))]


_AUTHORIZED: Mapping[str, Kind] = {"PENDING": "pending", "DENIED": "failed"}


def _authorization(event: Event) -> Sequence[Fact]:
    """Return what the status says. An authorization that PayPal is still reviewing can be denied later."""
    authorization = _resource(event, PaymentEvent)
    return [_fact(_AUTHORIZED.get((authorization.status or "").upper(), "authorized"), authorization.amount)]


def _refund(event: Event) -> Sequence[Fact]:
    """Return nothing for a pending refund, such as of an eCheck that has not cleared: it can still fail.

    A reversal is PayPal taking the money back, for a chargeback or a dispute. It is a refund that the merchant did not
    make, and the only transfer of money for a dispute.
    """
    refund = _resource(event, RefundEvent)
    status = (refund.status or "").upper()
    if status == "PENDING":
        return []
    if status in ("FAILED", "CANCELLED"):
        return [_fact("refund_failed", refund.amount, refund.id)]
    total = [_fact("refunded_total", refund.total)] if refund.total else []
    return [_fact("refunded", refund.amount, refund.id), *total]


_CAPTURED: Mapping[str, Kind] = {
    "COMPLETED": "captured",
    "PARTIALLY_REFUNDED": "captured",
    "REFUNDED": "captured",
    "PENDING": "pending",
    "DECLINED": "failed",
    "FAILED": "failed",
}


def _order(event: Event) -> Sequence[Fact]:
    """Return what the capture's own event reports too. An order of several captures leaves it to their events.

    Nothing is reported before the order is captured: what is paid in the end is booked with the capture, so a row of
    the order would stay pending for ever.
    """
    order = _resource(event, OrderEvent)
    captures = [each for each in order.captures if each.id == event.resource]
    kinds = ((_CAPTURED.get((each.status or "").upper()), each) for each in captures)
    return [_capture_fact(kind, each) for kind, each in kinds if kind]


_RESOLVED: Mapping[str, Kind] = {
    "RESOLVED_BUYER_FAVOUR": "dispute_lost",
    "ACCEPTED": "dispute_lost",
    "RESOLVED_SELLER_FAVOUR": "dispute_won",
    "RESOLVED_WITH_PAYOUT": "dispute_won",  # PayPal pays, and the merchant keeps the money
    "CANCELED_BY_BUYER": "dispute_won",
    "DENIED": "dispute_won",
    "NONE": "dispute_won",  # closed without a decision, for a later one about the same transaction
}


def _dispute(event: Event) -> Sequence[Fact]:
    """Return whether the dispute is open or how it ended. Refunds and reversals report the money."""
    dispute = _resource(event, DisputeEvent)
    resolved = event.type == "CUSTOMER.DISPUTE.RESOLVED" or dispute.status == "RESOLVED"
    kind = _RESOLVED.get(dispute.dispute_outcome.outcome_code or "") if resolved else "dispute_opened"
    return _of_each_payment(event, dispute, kind) if kind else []


def _of_each_payment(event: Event, dispute: Dispute, kind: Kind) -> list[Fact]:
    """Return the fact of each disputed transaction. Of several, each is claimed in full, up to what is disputed in all.

    The first of them by name keeps the dispute's id: another event may list them in another order.
    """
    listed = dispute.disputed_transactions
    payments = {each.seller_transaction_id: each.gross_amount for each in listed if each.seller_transaction_id}
    whole = _fact(kind, dispute.dispute_amount, dispute.dispute_id)
    if len(payments) < 2:
        return [whole]
    facts: list[Fact] = []
    left = whole.amount
    for payment, gross in sorted(payments.items()):
        claimed = min(left, _fact(kind, gross).amount) if gross and gross.currency == whole.currency else left
        left -= claimed
        named = f"{dispute.dispute_id}/{payment}" if facts else dispute.dispute_id
        about = "" if payment == event.resource else payment
        facts.append(replace(whole, amount=claimed, object=named, payment=about))
    return facts


TYPES: Mapping[str, ExtractFacts] = {
    "PAYMENT.AUTHORIZATION.CREATED": _authorization,
    "PAYMENT.AUTHORIZATION.VOIDED": _payment("canceled"),
    "PAYMENT.CAPTURE.PENDING": _payment("pending"),
    "PAYMENT.CAPTURE.COMPLETED": _payment("captured"),
    "PAYMENT.CAPTURE.DENIED": _payment("failed"),
    "PAYMENT.CAPTURE.DECLINED": _payment("failed"),
    "PAYMENT.CAPTURE.REFUNDED": _refund,
    "PAYMENT.CAPTURE.REVERSED": _refund,
    "PAYMENT.REFUND.PENDING": _refund,
    "PAYMENT.REFUND.COMPLETED": _refund,
    "PAYMENT.REFUND.FAILED": _refund,
    "PAYMENT.SALE.PENDING": _payment("pending"),
    "PAYMENT.SALE.COMPLETED": _payment("captured"),
    "PAYMENT.SALE.DENIED": _payment("failed"),
    "PAYMENT.SALE.REFUNDED": _refund,
    "PAYMENT.SALE.REVERSED": _refund,
    "CHECKOUT.ORDER.COMPLETED": _order,
    "CUSTOMER.DISPUTE.CREATED": _dispute,
    "CUSTOMER.DISPUTE.UPDATED": _dispute,
    "CUSTOMER.DISPUTE.RESOLVED": _dispute,
}
"""The types that report money. docs/providers/paypal.md says why each of the others is recorded only."""
