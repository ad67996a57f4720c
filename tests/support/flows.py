"""Flows of payments as providers report them: one event each, as the gateway would publish it; and the right rows.

An event's number is also its hour, so that the order in which things happened is known from the provider's own times.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contract.accounts import PostingRules
from contract.event import Event, Signed
from providers.base import Headers, Request
from tests.support.cases.base import NOW
from tests.support.cases.braintree import xml
from tests.support.provider_cases import CASES

Accounts = Mapping[str, int]
"""The balances that are not zero, without the provider's own."""


TRUSTED = PostingRules(trust="all")


@dataclass(frozen=True, slots=True)
class Flow:
    """What a provider reports about payments, and the rows that must come of it in any order."""

    name: str
    events: list[Event]
    rows: Mapping[str, Mapping[str, object]]
    """By payment: some columns of its row, and no row for any other payment."""
    balances: Accounts = field(default_factory=dict)
    rules: PostingRules = TRUSTED

    def __str__(self) -> str:
        return self.name


def _published(provider: str, request: Request, signed: Signed = "body", **settings: object) -> Event:
    source = CASES[provider].source(**settings)
    (parsed,) = source.parse(request)
    return replace(source.to_event(request, signed, parsed), source=provider, namespace=provider)


def _posted(body: Mapping[str, Any], target: str = "/webhooks/a", headers: Mapping[str, str] = {}) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request("POST", target, Headers(raw), json.dumps(body).encode(), NOW)


def _hour(number: int) -> str:
    return f"2026-03-02T{number:02d}:15:42+00:00"


def adyen(number: int, code: str, value: int, psp: str = "A1", **changes: Any) -> Event:
    """Return an item about the payment A1. `did` is what CANCEL_OR_REFUND did."""
    item = {
        "additionalData": {"hmacSignature": "none", "modification.action": changes.pop("did", "")},
        "amount": {"currency": "EUR", "value": value},
        "eventCode": code,
        "eventDate": _hour(number),
        "merchantAccountCode": "M",
        "merchantReference": "order-1",
        "pspReference": psp,
        "success": "true",
        **({} if psp == "A1" else {"originalReference": "A1"}),
        **changes,
    }
    batch = {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]}
    return _published("adyen", _posted(batch), "fields")


def braintree(number: int, kind: str, subject: Mapping[str, Any]) -> Event:
    notification = {"kind": kind, "timestamp": _hour(number), "subject": subject}
    return _published("braintree", CASES["braintree"].deliver(xml("notification", notification)).request())


def braintree_sale(number: int, kind: str, amount: str = "10.00", **fields: Any) -> Event:
    sale = {"id": "bt1", "type": "sale", "amount": amount, "currency-iso-code": "EUR", **fields}
    return braintree(number, kind, {"transaction": sale})


def braintree_dispute(number: int, kind: str, id_: str = "bd1", of: str = "chargeback", **fields: Any) -> Event:
    """Return a notification about a dispute of the transaction bt1, of 10.00."""
    dispute = {"id": id_, "amount-disputed": "10.00", "currency-iso-code": "EUR", "kind": of, **fields}
    return braintree(number, kind, {"dispute": {**dispute, "transaction": {"id": "bt1"}}})


def checkout(number: int, type_: str, amount: int = 1000, **data: Any) -> Event:
    """Return an event about the payment pay_1: of its dispute dsp_1, or of the action `act_<number>`."""
    named = (
        {"id": "dsp_1", "payment_id": "pay_1"} if "dispute" in type_ else {"id": "pay_1", "action_id": f"act_{number}"}
    )
    body = {"id": f"evt_{number}", "type": type_, "created_on": _hour(number),
            "data": {**named, "amount": amount, "currency": "EUR", **data}}  # fmt: skip
    return _published("checkout", _posted(body))


def mollie(number: int, type_: str, value: str = "10.00", id_: str = "tr_1", **entity: Any) -> Event:
    whose = {} if id_ == "tr_1" else {"paymentId": "tr_1"}
    entity = {"id": id_, "amount": {"value": value, "currency": "EUR"}, **whose, **entity}
    body = {"resource": "event", "id": f"event_{number}", "type": type_, "entityId": id_, "createdAt": _hour(number),
            "_embedded": {"entity": entity}}  # fmt: skip
    return _published("mollie", _posted(body))


def mollie_simple(number: int, type_: str) -> Event:
    body = {"resource": "event", "id": f"event_{number}", "type": type_, "entityId": "tr_1", "createdAt": _hour(number)}
    return _published("mollie", _posted(body))


MERCADO_PAYMENT = {"id": "PAY1", "amount": "10.00", "paid_amount": "10.00", "status": "processed"}


def mercadopago(number: int, action: str, status: str, detail: str, **transactions: Any) -> Event:
    """Return a notification about the order ord1 of 10.00, which one payment paid."""
    order = {
        "id": "ORD1",
        "status": status,
        "status_detail": detail,
        "total_amount": "10.00",
        "total_paid_amount": "10.00",
        "transactions": {"payments": [MERCADO_PAYMENT], **transactions},
    }
    body = {"action": action, "type": "order", "live_mode": True, "date_created": _hour(number), "data": order}
    headers = {"x-signature": f"ts=17724536676{number:02d},v1={'0' * 64}", "x-request-id": f"r{number}"}
    request = _posted(body, "/webhooks/a?data.id=ORD1&type=order", headers)
    return _published("mercadopago", request, "reference", currency="EUR")
