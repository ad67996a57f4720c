"""Mercado Pago: notifications of orders, and what its API says about orders and payments.

All other notifications, such as those of payments, name an object and no amount.

Sources: mercadopago.com/developers, "Configure notifications" of its QR code, Point and Checkout API (orders),
"Configure chargeback notifications", "Order status", "Transaction status". Amounts are decimal text in major units.

* No amount is signed (`signed = reference`): it moves money only for a source that trusts unsigned content.
* A notification names no currency. An account has one currency, and the source's setting `currency` names it; without
  the setting nothing is booked.
* An order's payments, refunds and chargebacks have ids of their own, which name the captures, refunds and disputes.
* Whether an order is refunded whole or in part is in its status and its detail: `processed` and `partially_refunded`,
  `processed` and `refunded`, or `refunded`. The action does not say it.
* The disputed amount is withheld while a chargeback is `in_process`. It is lost once `settled`, and comes back once
  `reimbursed`.
* A payment's own notifications are about the payment's id, which differs from its order's, and a payment need not name
  its order. So the setting `money_from` says which of the two is booked, and nothing is booked under both ids.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete
from providers.facts import IncompleteError, UnreadableError
from providers.mercadopago.fetched import payment_facts
from providers.mercadopago.models import (
    CURRENCY,
    DATA_ID,
    FETCHED_ORDER,
    FETCHED_PAYMENT,
    MONEY_FROM,
    Order,
    OrderEvent,
    Part,
)
from providers.models import loads_decimal

Amount = tuple[Kind, Decimal | None, str]
"""A kind of fact, its amount where the notification has it, and the id of its object."""


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts about the order, where the currency is known, or about the payment that the API has."""
    if event.signed == "api" and event.type == FETCHED_PAYMENT:
        return payment_facts(event)
    is_fetched = event.signed == "api" and event.type == FETCHED_ORDER
    amounts_of = _in_any_state if is_fetched else TYPES.get(event.type)
    if amounts_of is None or event.headers.get(MONEY_FROM) == "payments":
        return ()
    currency = event.headers.get(CURRENCY)
    if currency is None:
        raise IncompleteError("the source has no setting `currency`, and Mercado Pago names none")
    if DATA_ID not in event.headers:
        raise IncompleteError("the order's id is not in the query, so that it was not signed")
    order = read_complete(OrderEvent, loads_decimal(event.body)).data
    if order.id.lower() != event.resource.lower():
        raise UnreadableError("the body is about another order than the one the notification was signed for")
    return [
        Fact(kind, minor_units(amount, currency), currency, object_)
        for kind, amount, object_ in amounts_of(order)
        if amount is not None
    ]


def _total(kind: Kind) -> Callable[[Order], Sequence[Amount]]:
    return lambda order: [(kind, order.total_amount, "")]


def _action_required(order: Order) -> Sequence[Amount]:
    """Return whose action is required: the customer's, or the merchant's, who has yet to capture the payment."""
    return _total("authorized" if order.status_detail == "waiting_capture" else "pending")(order)


_PAID = frozenset({"processed", "refunded", "charged_back"})
_REFUNDS: Mapping[str | None, Kind] = {"processed": "refunded", "failed": "refund_failed"}
"""The statuses of a refund that moved money. One that is still `processing` has moved nothing."""

_ENDS: Mapping[str | None, tuple[Kind, ...]] = {
    "settled": ("dispute_lost", "funds_withdrawn"),
    "reimbursed": ("dispute_won", "funds_withdrawn", "funds_reinstated"),
}
"""The states in which a chargeback ends."""


def _transactions(order: Order) -> list[Amount]:
    parts = order.transactions
    amounts: list[Amount] = [
        ("authorized", order.total_amount, ""),
        *(_amount("captured", each, each.paid_amount) for each in parts.payments if each.status in _PAID),
        *(_amount(_REFUNDS[each.status], each) for each in parts.refunds if each.status in _REFUNDS),
        *(amount for each in parts.chargebacks for amount in _chargeback(order, each)),
    ]
    if _REFUNDED in (order.status, order.status_detail):
        amounts.append(("refunded_total", order.total_paid_amount, ""))
    return amounts


_REFUNDED = "refunded"


def _amount(kind: Kind, part: Part, amount: Decimal | None = None) -> Amount:
    amount = part.amount if amount is None else amount
    if amount is None:
        raise IncompleteError(f"a part of the order, {kind}, has no amount")
    return kind, amount, part.id


def _chargeback(order: Order, chargeback: Part) -> Iterator[Amount]:
    states = (chargeback.status, chargeback.status_detail, order.status_detail)
    end = next((state for state in states if state in _ENDS), None)
    for kind in _ENDS.get(end, ("dispute_opened", "funds_withdrawn")):
        yield _amount(kind, chargeback)


def _refunded(order: Order) -> Sequence[Amount]:
    """Return the total where the notification has no status: an order is refunded once it is paid back whole."""
    amounts = _transactions(order)
    if not (order.status or order.status_detail):
        amounts.append(("refunded_total", order.total_paid_amount, ""))
    return amounts


def _charged_back(order: Order) -> Sequence[Amount]:
    if not order.transactions.chargebacks:
        raise IncompleteError("the order has no data.transactions.chargebacks")
    return _transactions(order)


TYPES: Mapping[str, Callable[[Order], Sequence[Amount]]] = {
    "order.action_required": _action_required,
    "order.processed": _transactions,
    "order.refunded": _refunded,
    "order.charged_back": _charged_back,
    "order.failed": _total("failed"),
    "order.canceled": _total("canceled"),
    "order.expired": _total("canceled"),
}
"""The actions that report money. All others are recorded, and move nothing: docs/providers/mercadopago.md says why."""


_BY_STATUS: Mapping[str | None, Callable[[Order], Sequence[Amount]]] = {
    "action_required": _action_required,
    "processed": _transactions,
    "refunded": _transactions,
    "charged_back": _charged_back,
    "failed": _total("failed"),
    "canceled": _total("canceled"),
    "cancelled": _total("canceled"),
    "expired": _total("canceled"),
}


def _in_any_state(order: Order) -> Sequence[Amount]:
    """Return the amounts of an order that the API has. In other states than these no money has moved."""
    amounts_of = _BY_STATUS.get(order.status)
    return amounts_of(order) if amounts_of else ()
