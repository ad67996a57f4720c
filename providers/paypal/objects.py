"""Which object of PayPal's API an event is about, and the event that says of it what the API says.

Sources: PayPal's specifications payments_payment_v2, payments_payment_v1, checkout_orders_v2 and customer_disputes_v1
(github.com/paypal/paypal-rest-api-specifications). The second API names an object's state `status`, the first `state`.

* Of the event only its type, its payment and the object's id are used. The path is made of them, never of a link.
* What the object is now decides what is reported: an event that says `COMPLETED` of a capture that is pending becomes
  `PAYMENT.CAPTURE.PENDING`. An event about an earlier state becomes one about the present state, which follows from it.
* The object must be of the event's payment, because a refund that is booked under another capture would be missing
  under its own. A refund names its capture in a link, of which nothing but that id is read.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contract.event import Event
from providers.api import ApiUnexpectedError, Fetched, NotFoundError, segment
from providers.api_pages import as_documented
from providers.models import Lenient
from providers.payload import first_id, get_path, read_json
from providers.paypal.identity import captures_of, items, payment_of
from providers.paypal.models import AnyEvent, AnyResource

ObjectKind = Literal["capture", "authorization", "refund", "sale", "order", "dispute"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""PayPal's own pattern is ^[A-Z0-9-]{1,50}$, with longer ids for disputes."""

_PATHS: Mapping[ObjectKind, str] = {
    "capture": "/v2/payments/captures/",
    "authorization": "/v2/payments/authorizations/",
    "refund": "/v2/payments/refunds/",
    "sale": "/v1/payments/sale/",
    "order": "/v2/checkout/orders/",
    "dispute": "/v1/customer/disputes/",
}

_FIRST_PATHS: Mapping[ObjectKind, str] = {
    **_PATHS,
    "capture": "/v1/payments/capture/",
    "authorization": "/v1/payments/authorization/",
    "refund": "/v1/payments/refund/",
}
"""The same in the first API, which has ids of its own."""

_CAPTURED: Mapping[str, str] = {
    "COMPLETED": "COMPLETED",
    "PARTIALLY_REFUNDED": "COMPLETED",
    "REFUNDED": "COMPLETED",
    "PENDING": "PENDING",
    "DECLINED": "DENIED",
    "DENIED": "DENIED",
    "FAILED": "DENIED",
}

_TYPE_OF_STATE: Mapping[ObjectKind, Mapping[str, str]] = {
    "capture": {state: f"PAYMENT.CAPTURE.{end}" for state, end in _CAPTURED.items()},
    "sale": {state: f"PAYMENT.SALE.{end}" for state, end in _CAPTURED.items()},
    "authorization": {
        **dict.fromkeys(
            ("CREATED", "PARTIALLY_CREATED", "AUTHORIZED", "PENDING", "DENIED", "CAPTURED", "PARTIALLY_CAPTURED"),
            "PAYMENT.AUTHORIZATION.CREATED",
        ),
        **dict.fromkeys(("VOIDED", "EXPIRED"), "PAYMENT.AUTHORIZATION.VOIDED"),
    },
}
"""The type that reports a state. PayPal documents no other state, and no other reports anything."""

_REFUND_STATES = frozenset({"COMPLETED", "PENDING", "FAILED", "CANCELLED"})


class _Object(AnyResource):
    """An object of any kind, with its state."""

    status: Any = None
    state: Any = None

    @property
    def now(self) -> str:
        """Its state, in upper case; "" where it has none."""
        return (first_id(self.status, self.state) or "").upper()


class _ObjectEvent(AnyEvent):
    resource: Lenient[_Object] = None


@dataclass(frozen=True, slots=True)
class Named:
    """The object that an event is about: its kind, its id, and the path of the API that has it."""

    kind: ObjectKind
    id: str
    path: str
    event_id: str
    """The id in the event's body, `WH-…`."""


def kind_of(type_: str) -> ObjectKind:
    """Return the kind of object that an event of this type is about, for those that report money."""
    if type_.startswith("CUSTOMER.DISPUTE."):
        return "dispute"
    if type_.startswith("CHECKOUT.ORDER."):
        return "order"
    if type_.startswith("PAYMENT.AUTHORIZATION."):
        return "authorization"
    if type_.startswith("PAYMENT.REFUND.") or type_.endswith((".REFUNDED", ".REVERSED")):
        return "refund"
    return "sale" if type_.startswith("PAYMENT.SALE.") else "capture"


def named_object(event: Event) -> Named:
    """Return the object that the event names. Raise NotFoundError where it names none that could exist."""
    with as_documented("the event"):
        read = read_json(_ObjectEvent, event.body)
    about, kind = read.resource or _Object(), kind_of(event.type)
    id_ = _id_of(kind, about)
    if id_ is None or not _ID.fullmatch(id_):
        raise NotFoundError(f"the event names no {kind}")
    is_first = event.type.startswith("PAYMENT.SALE.") or (about.status is None and about.state is not None)
    return Named(kind, id_, (_FIRST_PATHS if is_first else _PATHS)[kind] + segment(id_), read.id)


def fetched_event(event: Event, named: Named, answer: bytes) -> Fetched:
    """Return the event that says what the API says of the object. Raise ApiError where it is of another payment."""
    kind, envelope = named.kind, {"id": named.event_id, "event_type": event.type, "resource_type": named.kind}
    with as_documented(f"the {kind}"):
        # The answer is spliced in as it is, so that no amount is written anew. It was read alone before, because only
        # a whole JSON object fits there.
        read_json(_Object, answer)
        about = read_json(_ObjectEvent, _spliced(envelope, answer))
    object_ = about.resource or _Object()
    if _id_of(kind, object_) != named.id:
        raise ApiUnexpectedError(f"the API answered with another {kind} than the one that was asked for")
    if event.resource not in _payments(kind, about, object_):
        raise NotFoundError(f"the {kind} that the event names is not of the event's payment")
    type_ = _type_now(kind, event.type, object_.now)
    return Fetched(body=_spliced({**envelope, "event_type": type_}, answer), type=type_)


def _spliced(envelope: Mapping[str, str], resource: bytes) -> bytes:
    return json.dumps(envelope).encode()[:-1] + b', "resource": ' + resource + b"}"


def _id_of(kind: ObjectKind, object_: AnyResource) -> str | None:
    return first_id(object_.dispute_id) if kind == "dispute" else first_id(object_.id)


def _payments(kind: ObjectKind, event: AnyEvent, object_: AnyResource) -> set[str | None]:
    """Return the ids of the payments that an event about the object may be recorded under."""
    if kind == "order":
        return {first_id(id_) for id_ in (object_.id, *captures_of(object_))}
    if kind == "dispute":
        disputed = {first_id(get_path(each, "seller_transaction_id")) for each in items(object_.disputed_transactions)}
        return disputed - {None} or {first_id(object_.dispute_id)}
    return {payment_of(event)}


def _type_now(kind: ObjectKind, type_: str, now: str) -> str:
    """Return the type of event that reports the object's present state. Raise ApiUnexpectedError for an unknown one."""
    if kind == "dispute":
        if now == "RESOLVED":
            return "CUSTOMER.DISPUTE.RESOLVED"
        return "CUSTOMER.DISPUTE.UPDATED" if type_ == "CUSTOMER.DISPUTE.RESOLVED" else type_
    if kind == "order":
        return type_  # the state of each capture is in the order
    reported = type_ if kind == "refund" and now in _REFUND_STATES else _TYPE_OF_STATE.get(kind, {}).get(now)
    if reported is None:
        raise ApiUnexpectedError(f"the {kind} is in a state that PayPal does not document")
    return reported
