"""Mercado Pago: notifications of orders. All others, such as those of payments, name an object and no amount.

Source: mercadopago.com/developers, "Configure notifications" of its QR code, Point and Checkout API (orders), and
"Order status". Amounts are decimal text in major units.

* No amount is signed (`signed = reference`): it moves money only for a source that trusts unsigned content.
* A notification names no currency. An account has one currency, and the source's setting `currency` names it; without
  the setting there are no facts.
* An order's payments and refunds have ids of their own, which name the captures and refunds.
* A payment's own notifications are about the payment's id, which differs from its order's. They give no facts, so that
  nothing is booked under both ids.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import UnreadableError
from providers.mercadopago.models import Order, OrderEvent
from providers.models import loads_decimal

CURRENCY = "currency"
"""The header in which the gateway passes on the source's setting."""


Amount = tuple[Kind, Decimal | None, str]
"""A kind of fact, its amount where the notification has it, and the id of its object."""


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts about the order, where the currency is known."""
    amounts_of, currency = TYPES.get(event.type), event.headers.get(CURRENCY)
    if amounts_of is None or currency is None:
        return ()
    order = OrderEvent.model_validate(loads_decimal(event.body)).data
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


_PAID = frozenset({"processed", "refunded"})
_REFUNDS: Mapping[str, Kind] = {"processed": "refunded", "failed": "refund_failed"}
"""The statuses of a refund that moved money. One that is still `processing` has moved nothing."""


def _processed(order: Order) -> Sequence[Amount]:
    payments, refunds = order.transactions.payments, order.transactions.refunds
    paid = [each for each in payments if each.status in _PAID]
    return [
        ("authorized", order.total_amount, ""),
        *(("captured", each.amount if each.paid_amount is None else each.paid_amount, each.id) for each in paid),
        *((_REFUNDS[each.status], each.amount, each.id) for each in refunds if each.status in _REFUNDS),
    ]


def _refunded(order: Order) -> Sequence[Amount]:
    """Return the total as well: an order is refunded once it is paid back whole, and often no refund is named."""
    return [*_processed(order), ("refunded_total", order.total_paid_amount, "")]


TYPES: Mapping[str, Callable[[Order], Sequence[Amount]]] = {
    "order.action_required": _action_required,
    "order.processed": _processed,
    "order.refunded": _refunded,
    "order.failed": _total("failed"),
    "order.canceled": _total("canceled"),
    "order.expired": _total("canceled"),
}
"""The actions that report money. All others are recorded, and move nothing."""
