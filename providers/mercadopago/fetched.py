"""Mercado Pago's payments, as its API says they are, with their refunds and chargebacks.

Sources: mercadopago.com/developers, reference of `GET /v1/payments/{id}`, `…/refunds` and `GET /v1/chargebacks/{id}`.

* `transaction_amount` is the price. `total_paid_amount` has the customer's financing in it, or lacks a coupon.
* A payment that was refunded in part stays `approved`. `transaction_amount_refunded` is the sum also where a refund is
  not listed. Of the listed ones only `approved` ones have moved money.
* Of a payment that was charged back, `status_detail` says whether the money is gone (`settled`), came back
  (`reimbursed`) or is withheld. Of several chargebacks each says it in `coverage_applied`.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete
from providers.facts import UnreadableError
from providers.mercadopago.models import Chargeback, FetchedPayment, Payment
from providers.models import loads_decimal

_STATES: Mapping[str, Kind] = {
    "pending": "pending",
    "in_process": "pending",
    "authorized": "authorized",
    "rejected": "failed",
    "cancelled": "canceled",
}
_PAID = frozenset({"approved", "in_mediation", "refunded", "charged_back"})

SALES = frozenset({"regular_payment", "recurring_payment", "pos_payment", "payment_addition"})
"""The operations that are sales. Others, such as `money_transfer`, are not the merchant's trade, and are not booked."""

_LOST: tuple[Kind, ...] = ("dispute_lost", "funds_withdrawn")
_WON: tuple[Kind, ...] = ("dispute_won", "funds_withdrawn", "funds_reinstated")
_OPEN: tuple[Kind, ...] = ("dispute_opened", "funds_withdrawn")
_ENDS: Mapping[str | None, tuple[Kind, ...]] = {"settled": _LOST, "reimbursed": _WON}


def is_sale(payment: Payment) -> bool:
    """Return whether the payment is one of the merchant's sales."""
    return payment.operation_type is None or payment.operation_type in SALES


def payment_facts(event: Event) -> Sequence[Fact]:
    """Return the facts about a payment that the API has. Those of another one than the event's resource name it."""
    fetched = read_complete(FetchedPayment, loads_decimal(event.body))
    payment = fetched.payment
    if not is_sale(payment):
        return ()
    about = "" if payment.id == event.resource else payment.id
    return [
        Fact(kind, minor_units(amount, payment.currency_id), payment.currency_id, object_, payment=about)
        for kind, amount, object_ in _amounts(fetched)
    ]


def _amounts(fetched: FetchedPayment) -> Iterator[tuple[Kind, Decimal, str]]:
    payment = fetched.payment
    if payment.status in _PAID:
        if payment.captured is False:
            yield "authorized", payment.transaction_amount, ""
        else:
            yield "captured", payment.transaction_amount, payment.id
    elif payment.status in _STATES:
        yield _STATES[payment.status], payment.transaction_amount, ""
    for refund in fetched.refunds:
        if refund.status == "approved":
            yield "refunded", refund.amount, refund.id
    if payment.transaction_amount_refunded:
        yield "refunded_total", payment.transaction_amount_refunded, ""
    for chargeback in fetched.chargebacks:
        if chargeback.currency not in (None, payment.currency_id):
            raise UnreadableError("a chargeback is in another currency than its payment")
        for kind in _outcome(payment, chargeback, len(fetched.chargebacks)):
            yield kind, chargeback.amount, chargeback.id


def _outcome(payment: Payment, chargeback: Chargeback, count: int) -> tuple[Kind, ...]:
    if count == 1 and payment.status_detail in _ENDS:
        return _ENDS[payment.status_detail]
    return _WON if chargeback.coverage_applied is True else _LOST if chargeback.coverage_applied is False else _OPEN
