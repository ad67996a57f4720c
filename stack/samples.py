"""Bodies of sample events of the providers that sign the raw body in one header, for `make send`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

AMOUNT_MINOR = 1234
"""The amount of every sample, in minor units."""

Body = Callable[[str, str], dict[str, Any]]
"""Makes the body of an event with this id and type."""

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """The usual type, the body, and the headers that are not signed and name the type."""

    type: str
    body: Body
    headers: Callable[[str], Headers] = lambda _kind: {}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _in_house(event_id: str, status: str) -> dict[str, Any]:
    return {"event_id": event_id, "transaction_id": f"tx_{event_id}", "status": status, "amount": "12.34",
            "currency": "EUR"}  # fmt: skip


def _checkout(event_id: str, kind: str) -> dict[str, Any]:
    data = {"id": f"pay_{event_id}", "action_id": f"act_{event_id}", "amount": AMOUNT_MINOR, "currency": "EUR"}
    return {"id": f"evt_{event_id}", "type": kind, "created_on": _now(), "data": data}


def _razorpay(event_id: str, kind: str) -> dict[str, Any]:
    entity = {"id": f"pay_{event_id}", "amount": AMOUNT_MINOR, "currency": "INR", "status": "captured"}
    return {"event": kind, "contains": ["payment"], "created_at": int(time.time()),
            "payload": {"payment": {"entity": entity}}}  # fmt: skip


def _paystack(event_id: str, kind: str) -> dict[str, Any]:
    data = {"id": event_id, "reference": f"ref_{event_id}", "amount": AMOUNT_MINOR, "currency": "NGN",
            "status": "success", "domain": "live", "paid_at": _now()}  # fmt: skip
    return {"event": kind, "data": data}


def _mollie(event_id: str, kind: str) -> dict[str, Any]:
    return {"resource": "event", "id": f"event_{event_id}", "type": kind, "entityId": f"pl_{event_id}",
            "createdAt": _now()}  # fmt: skip


def _gocardless(event_id: str, kind: str) -> dict[str, Any]:
    resource, _, action = kind.partition(".")
    event = {"id": f"EV_{event_id}", "created_at": _now(), "resource_type": resource, "action": action,
             "links": {"payment": f"PM_{event_id}"}}  # fmt: skip
    return {"events": [event]}


def _shopify(event_id: str, _kind: str) -> dict[str, Any]:
    return {"id": event_id, "currency": "EUR", "total_price": "12.34", "financial_status": "paid",
            "updated_at": _now()}  # fmt: skip


def _lemonsqueezy(event_id: str, kind: str) -> dict[str, Any]:
    return {"meta": {"event_name": kind}, "data": {"type": "orders", "id": event_id, "attributes": {}}}


def _flutterwave(event_id: str, kind: str) -> dict[str, Any]:
    data = {"id": f"chg_{event_id}", "amount": AMOUNT_MINOR, "currency": "NGN", "status": "succeeded"}
    return {"webhook_id": f"wbk_{event_id}", "timestamp": int(time.time() * 1000), "type": kind, "data": data}


SAMPLES: Mapping[str, Sample] = {
    "hmac": Sample("COMPLETED", _in_house),
    "checkout": Sample("payment_captured", _checkout),
    "flutterwave": Sample("charge.completed", _flutterwave),
    "gocardless": Sample("payments.confirmed", _gocardless),
    "lemonsqueezy": Sample("order_created", _lemonsqueezy),
    "mollie": Sample("payment-link.paid", _mollie),
    "paystack": Sample("charge.success", _paystack),
    "razorpay": Sample("payment.captured", _razorpay),
    "shopify": Sample("orders/paid", _shopify, lambda kind: {"X-Shopify-Topic": kind}),
}
"""By provider. Each has `sign` of its own, next to what verifies."""
