"""Mercado Pago: notifications of orders. Those of payments, chargebacks and the rest name an object, and no amount.

Source: mercadopago.com/developers, "Configure notifications" of its QR code, Point and Checkout API (orders), and
"Order status". Amounts are decimal text in major units.

* None of it is signed (`signed = reference`): it moves money only where a source trusts what is not.
* A notification names no currency, and an account has one: the source's setting `currency` says which. Without it an
  amount says nothing.
* An order's payments and refunds have ids of their own, and the movements are named after these.
* A payment's own notifications are about the payment's id, which is another than its order's. They tell nothing, so
  that nothing is booked under both.
"""

from collections.abc import Callable, Mapping, Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import UnreadableError
from providers.models import Id, MajorUnits, Model, loads_decimal

CURRENCY = "currency"
"""The header in which the gateway passes on the source's setting."""


class _Payment(Model):
    id: Id
    amount: MajorUnits
    paid_amount: MajorUnits | None = None
    status: str = ""


class _Refund(Model):
    id: Id
    amount: MajorUnits
    status: str = ""


class _Transactions(Model):
    payments: Sequence[_Payment] = ()
    refunds: Sequence[_Refund] = ()


class _Order(Model):
    id: Id
    status_detail: str = ""
    total_amount: MajorUnits | None = None
    total_paid_amount: MajorUnits | None = None
    transactions: _Transactions = _Transactions()


class _Event(Model):
    data: _Order


Amount = tuple[Kind, MajorUnits | None, str]
"""What is told, of how much, and of which object; notifications leave out some amounts."""


def extract_facts(event: Event) -> Sequence[Fact]:
    """What the order's notification tells, where the currency is known."""
    tell, currency = TYPES.get(event.type), event.headers.get(CURRENCY)
    if tell is None or currency is None:
        return ()
    order = _Event.model_validate(loads_decimal(event.body)).data
    if order.id.lower() != event.resource.lower():
        raise UnreadableError("the body is about another order than the one the notification was signed for")
    return [
        Fact(kind, minor_units(amount, currency), currency, object_)
        for kind, amount, object_ in tell(order)
        if amount is not None
    ]


def _about(kind: Kind) -> Callable[[_Order], Sequence[Amount]]:
    return lambda order: [(kind, order.total_amount, "")]


def _action_required(order: _Order) -> Sequence[Amount]:
    """By the customer, or by the merchant, who has yet to capture what is authorized."""
    return _about("authorized" if order.status_detail == "waiting_capture" else "pending")(order)


_PAID = frozenset({"processed", "refunded"})
_REFUNDS: Mapping[str, Kind] = {"processed": "refunded", "failed": "refund_failed"}
"""One that is still `processing` has moved nothing."""


def _movements(order: _Order) -> Sequence[Amount]:
    payments, refunds = order.transactions.payments, order.transactions.refunds
    paid = [each for each in payments if each.status in _PAID]
    return [
        ("authorized", order.total_amount, ""),
        *(("captured", each.amount if each.paid_amount is None else each.paid_amount, each.id) for each in paid),
        *((_REFUNDS[each.status], each.amount, each.id) for each in refunds if each.status in _REFUNDS),
    ]


def _refunded(order: _Order) -> Sequence[Amount]:
    """An order is refunded once all that was paid is back; the notification often names no refund."""
    return [*_movements(order), ("refunded_total", order.total_paid_amount, "")]


TYPES: Mapping[str, Callable[[_Order], Sequence[Amount]]] = {
    "order.action_required": _action_required,
    "order.processed": _movements,
    "order.refunded": _refunded,
    "order.failed": _about("failed"),
    "order.canceled": _about("canceled"),
    "order.expired": _about("canceled"),
}
"""The actions that tell about money. All others are recorded, and move nothing."""
