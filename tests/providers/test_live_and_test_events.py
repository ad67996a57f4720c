"""Whether an event is about test money, and whose account it is about, as each provider says it."""

import json
from typing import Any

import pytest

from contract.event import Mode
from providers.base import Headers, ParsedEvent, Request
from tests.support.cases.base import NOW
from tests.support.provider_cases import CASES

STRIPE: dict[str, Any] = {"id": "evt_1", "type": "payment_intent.succeeded", "created": 1}
SQUARE: dict[str, Any] = {"event_id": "e_1", "type": "payment.updated", "created_at": "2026-03-02T09:14:27Z"}
RAZORPAY: dict[str, Any] = {"event": "payment.captured"}
PAYSTACK: dict[str, Any] = {"event": "charge.success"}
PADDLE: dict[str, Any] = {"event_type": "transaction.paid", "occurred_at": "2026-03-02T09:14:27Z"}
PAYPAL: dict[str, Any] = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED"}
ODD: list[Any] = [None, 1.5, "", {}, [], "a\x00", "x" * 300]
NOT_AN_OBJECT: list[Any] = [None, [], [{"domain": "test"}]]


def parsed(provider: str, body: dict[str, Any], certificate: str = "") -> ParsedEvent:
    headers = [(b"PAYPAL-TRANSMISSION-ID", b"t_1"), (b"PAYPAL-CERT-URL", certificate.encode())]
    request = Request("POST", "/webhooks/a", Headers(headers), json.dumps(body).encode(), NOW)
    (event,) = CASES[provider].source().parse(request)
    return event


def links(host: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"https://{host}/v1/notifications/webhooks-events/WH-1"}]


@pytest.mark.parametrize(
    ("provider", "body", "mode"),
    [
        ("stripe", STRIPE | {"livemode": True}, "live"),
        ("stripe", STRIPE | {"livemode": False}, "test"),
        ("stripe", STRIPE | {"livemode": False, "account": "acct_1"}, "test"),
        ("stripe", STRIPE | {"created": "2026-03-02T09:14:27Z", "livemode": False, "related_object": None}, "test"),
        ("stripe", STRIPE, None),
        *(("stripe", STRIPE | {"livemode": odd}, None) for odd in (*ODD, "no", 0)),
        ("paystack", PAYSTACK | {"data": {"domain": "live"}}, "live"),
        ("paystack", PAYSTACK | {"data": {"domain": "test"}}, "test"),
        *(("paystack", PAYSTACK | {"data": {"domain": odd}}, None) for odd in (*ODD, "Test")),
        *(("paystack", PAYSTACK | {"data": each}, None) for each in (*NOT_AN_OBJECT, {})),
        ("paddle", PADDLE | {"event_id": "evt_01gks14ge726w50ch2tmaw2a1x"}, None),
        ("paddle", PADDLE | {"event_id": "ntfsimevt_01hvg8ykjrcdr4jvv9rqcbkhfa"}, "test"),
        ("paypal", PAYPAL | {"links": links("api.paypal.com")}, "live"),
        ("paypal", PAYPAL | {"links": links("api-m.paypal.com")}, "live"),
        ("paypal", PAYPAL | {"links": links("api.sandbox.paypal.com")}, "test"),
        ("paypal", PAYPAL | {"resource": {"links": links("api-m.sandbox.paypal.com")}}, "test"),
        ("paypal", PAYPAL | {"links": links("example.com")}, None),
        *(("paypal", PAYPAL | {"links": odd}, None) for odd in (*ODD, [{"href": 5}, 5], [{"href": "api.paypal.com"}])),
        ("square", SQUARE, None),
        ("razorpay", RAZORPAY, None),
    ],
)
def test_an_event_says_whether_it_is_about_test_money(provider: str, body: dict[str, Any], mode: Mode | None) -> None:
    assert parsed(provider, body).mode == mode


@pytest.mark.parametrize(
    ("host", "linked", "mode"),
    [
        ("api.sandbox.paypal.com", None, "test"),
        ("api.sandbox.paypal.com", "api.paypal.com", "test"),
        ("api.paypal.com", None, "live"),
        ("api.paypal.com", "api.sandbox.paypal.com", "test"),
    ],
)
def test_paypals_certificate_is_of_the_sandbox_or_live(host: str, linked: str | None, mode: Mode) -> None:
    body = PAYPAL | ({"links": links(linked)} if linked else {})
    assert parsed("paypal", body, f"https://{host}/v1/notifications/certs/CERT-1").mode == mode


@pytest.mark.parametrize(
    ("provider", "body", "account"),
    [
        ("stripe", STRIPE | {"account": "acct_A"}, "acct_A"),
        ("stripe", STRIPE | {"context": "acct_A"}, "acct_A"),
        ("stripe", STRIPE | {"account": None, "context": None}, ""),
        ("stripe", STRIPE, ""),
        *(("stripe", STRIPE | {"account": odd}, "") for odd in ODD),
        ("square", SQUARE | {"merchant_id": "ML"}, "ML"),
        *(("square", SQUARE | {"merchant_id": odd}, "") for odd in ODD),
        ("razorpay", RAZORPAY | {"account_id": "acc_1"}, "acc_1"),
        *(("razorpay", RAZORPAY | {"account_id": odd}, "") for odd in ODD),
        ("paystack", PAYSTACK | {"data": {"integration": 412829}}, ""),
        ("paypal", PAYPAL | {"resource": {"payee": {"merchant_id": "Q4"}}}, ""),
        ("paddle", PADDLE | {"event_id": "evt_1"}, ""),
    ],
)
def test_an_event_says_whose_account_it_is_about(provider: str, body: dict[str, Any], account: str) -> None:
    assert parsed(provider, body).account == account


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("stripe", STRIPE | {"data": None, "related_object": None}),
        ("stripe", STRIPE | {"data": {"object": None}}),
        ("stripe", STRIPE | {"data": [], "related_object": []}),
        ("stripe", STRIPE | {"data": {"object": []}}),
        ("square", SQUARE | {"data": None}),
        ("square", SQUARE | {"data": []}),
        ("square", {"event_id": "e_1", "type": "payment.updated"}),
        ("square", SQUARE | {"created_at": None, "data": {"id": "qp1", "object": None}}),
        ("paystack", {"event": "subscription.expiring_cards", "data": [{"expiry_date": "12/2027"}]}),
        ("paystack", PAYSTACK | {"data": None}),
        ("razorpay", RAZORPAY | {"contains": None, "payload": []}),
        ("razorpay", RAZORPAY | {"payload": {"payment": []}, "contains": ["payment"]}),
        ("razorpay", {"event": {"name": "token.service_provider.failed", "payload": {"payload": {}}}}),
        ("paypal", PAYPAL | {"resource": []}),
        ("paypal", PAYPAL | {"resource": {"purchase_units": None, "disputed_transactions": [[]], "links": {}}}),
        ("paddle", PADDLE | {"event_id": "evt_1", "data": []}),
        ("pagbank", {"id": "ORDE_1", "charges": None}),
        ("pagbank", {"id": "ORDE_1", "charges": {}}),
        ("flutterwave", {"type": "charge.completed", "data": None}),
        ("flutterwave", {"type": "charge.completed"}),
        ("flutterwave_v3", {"event": "charge.completed", "data": []}),
        ("lemonsqueezy", {"meta": {"event_name": "order_created"}, "data": []}),
    ],
)
def test_a_part_that_is_empty_or_an_array_is_no_reason_to_refuse_an_event(provider: str, body: dict[str, Any]) -> None:
    event = parsed(provider, body)
    assert event.type
    assert event.resource
