"""The senders that sign the raw body: which payment their events are about, and what identifies them."""

import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from contract.event import Event
from providers.base import PayloadError, SignatureError
from tests.support.cases.base import Signed
from tests.support.cases.raw_body import KlarnaCase, MollieCase, PagBankCase, RawBodyCase
from tests.support.provider_cases import CASES

RAZORPAY = CASES["razorpay"]
KLARNA = KlarnaCase()
MOLLIE = MollieCase()
BY_HEADER_ID = {"github": b"X-GitHub-Delivery", "shopify": b"X-Shopify-Webhook-Id", "razorpay": b"x-razorpay-event-id"}


async def events_of(provider: str, body: dict[str, Any] | str, **headers: str) -> list[Event]:
    case = CASES[provider]
    unsigned = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    signed = case.deliver(body if isinstance(body, str) else case.write(body))
    request = Signed(signed.headers, signed.body, unsigned).request()
    return [delivery.event for delivery in await case.source().verify(request)]


async def event_of(provider: str, body: dict[str, Any] | str, **headers: str) -> Event:
    (event,) = await events_of(provider, body, **headers)
    return event


def changed(provider: str, **changes: Any) -> dict[str, Any]:
    return {**CASES[provider].event("x"), **changes}


GENUINE = {
    "github": ("sponsorship.created", "S_1", None),
    "checkout": ("payment_captured", "pay_1", "11:59:58.882154"),
    "shopify": ("orders/paid", "820982911946154508", "11:59:58"),
    "razorpay": ("refund.processed", "pay_1", "12:00:00"),
    "mollie": ("payment-link.paid", "pl_1", "11:59:58"),
    "gocardless": ("payments.paid_out", "PM1", "11:59:58.404000"),
    "paystack": ("charge.success", "ref_1", "11:59:58"),
    "lemonsqueezy": ("order_created", "orders:1", "11:59:58"),
    "flutterwave": ("charge.completed", "chg_1", "12:00:00"),
    "flutterwave_v3": ("charge.completed", "Links-1", "11:59:58"),
    "klarna": ("payment.request.state-change.completed", "krn:payment:eu1:request:1", "11:59:58"),
    "pagarme": ("transaction_status_changed.paid", "2727403", "11:59:58.216000"),
    "pagbank": ("order.paid", "ORDE_1", "11:59:58.027000"),
}
IDS = {
    "checkout": "evt_1",
    "mollie": "event_1",
    "gocardless": "EV1",
    "paystack": "charge.success:302961",
    "flutterwave": "wbk_1:charge.completed:chg_1:succeeded",
    "flutterwave_v3": "charge.completed:285959875:successful",
    "klarna": "d9f9b1a0",
}
BEFORE_THE_DIGEST = {
    "github": "sponsorship:",
    "shopify": "orders/paid:",
    "razorpay": "",
    "lemonsqueezy": "",
    "pagarme": "2727403:paid:",
    "pagbank": "paid:",
}


def test_every_such_sender_is_tested_here() -> None:
    cases = {name for name, case in CASES.items() if isinstance(case, RawBodyCase)}
    assert cases == set(GENUINE) == set(IDS) | set(BEFORE_THE_DIGEST)


@pytest.mark.parametrize("provider", GENUINE)
async def test_the_parts_of_an_event(provider: str) -> None:
    signed = CASES[provider].signed()
    (delivery,) = await CASES[provider].source().verify(signed.request())
    event = delivery.event
    time = event.occurred_at and event.occurred_at.time().isoformat()
    assert (event.type, event.resource, time) == GENUINE[provider]
    digest = f"{BEFORE_THE_DIGEST.get(provider)}sha256:{hashlib.sha256(signed.body).hexdigest()}"
    assert event.event_id == IDS.get(provider, digest)


@pytest.mark.parametrize("provider", BY_HEADER_ID)
async def test_a_captured_request_under_a_new_id_is_the_same_event(provider: str) -> None:
    """The id's header is not signed; it is kept for questions to the provider about the delivery."""
    case, header = CASES[provider], BY_HEADER_ID[provider]
    signed = case.signed()
    ids = []
    for given_id in (b"one", b"two"):
        unsigned = tuple((name, given_id if name == header else value) for name, value in case.unsigned)
        (delivery,) = await case.source().verify(Signed(signed.headers, signed.body, unsigned).request())
        ids.append(delivery.event.event_id)
        assert delivery.event.headers[header.decode().lower()] == given_id.decode()
    assert ids[0] == ids[1]


@pytest.mark.parametrize("provider", BY_HEADER_ID)
@pytest.mark.parametrize("junk", [b"", b"\xff", "é".encode(), b"a\tb", b"x" * 1000])
async def test_junk_in_an_unsigned_header_harms_nothing(provider: str, junk: bytes) -> None:
    case = CASES[provider]
    signed = case.signed()
    unsigned = tuple((name, junk) for name, _ in case.unsigned)
    (delivery,) = await case.source().verify(Signed(signed.headers, signed.body, unsigned).request())
    assert delivery.event.headers == {}


# All events of one payment share a resource: (provider, changed parts of its event, the resource).
RESOURCES: list[tuple[str, dict[str, Any], str]] = [
    ("checkout", {"type": "dispute_received", "data": {"id": "dsp_1", "payment_id": "pay_1"}}, "pay_1"),
    ("checkout", {"data": {}}, "evt_1"),
    ("shopify", {"id": 5, "order_id": 820982911946154508}, "820982911946154508"),
    ("shopify", {"id": "c1-token"}, "c1-token"),
    ("shopify", {"id": None, "order_edit": {"order_id": 7}}, "7"),
    ("razorpay", {"contains": ["dispute"], "payload": {"dispute": {"entity": {"payment_id": "pay_1"}}}}, "pay_1"),
    ("razorpay", {"contains": ["settlement"], "payload": {"settlement": {"entity": {"id": "setl_1"}}}}, "setl_1"),
    ("mollie", {"entityId": "re_1", "_embedded": {"entity": {"id": "re_1", "paymentId": "tr_1"}}}, "tr_1"),
    ("mollie", {"_embedded": None}, "pl_1"),
    ("paystack", {"data": {"id": 9, "transaction": {"id": 1, "reference": "ref_1"}}}, "ref_1"),
    ("paystack", {"data": {"transaction_reference": "ref_1", "refund_reference": None}}, "ref_1"),
    ("paystack", {"data": {"id": 9, "transaction": {}}}, "9"),
    ("lemonsqueezy", {"data": {"type": "subscription-invoices", "id": "1"}}, "subscription-invoices:1"),
    ("flutterwave", {"type": "refund.completed", "data": {"id": "rfd_1", "charge_id": "chg_1"}}, "chg_1"),
    ("flutterwave_v3", {"data": {"id": 5, "flw_ref": "F1"}}, "F1"),
    ("flutterwave_v3", {"event": "transfer.completed", "data": {"id": 5, "reference": "R1"}}, "R1"),
    ("klarna", {"payload": {"payment_transaction_id": "krn:t:1"}}, "krn:t:1"),
    ("klarna", {"payload": None}, "d9f9b1a0"),
    ("pagarme", {"object": "subscription", "subscription": {}, "transaction": {"id": "99"}}, "99"),
    ("pagbank", {"id": "CHAR_1", "status": "PAID"}, "CHAR_1"),
    ("github", {"sponsorship": None}, "a/b"),
    ("github", {"sponsorship": None, "marketplace_purchase": {"account": {"node_id": "U_1"}}}, "U_1"),
]


@pytest.mark.parametrize(("provider", "changes", "resource"), RESOURCES)
async def test_all_events_of_one_payment_share_a_resource(
    provider: str, changes: dict[str, Any], resource: str
) -> None:
    assert (await event_of(provider, changed(provider, **changes))).resource == resource


@pytest.mark.parametrize("provider", ["shopify", "razorpay", "lemonsqueezy", "github"])
async def test_an_event_of_no_payment_is_about_itself(provider: str) -> None:
    nothing: dict[str, dict[str, Any]] = {
        "razorpay": {"event": "x"},
        "lemonsqueezy": {"meta": {"event_name": "x"}, "data": {}},
    }
    event = await event_of(provider, nothing.get(provider, {}))
    assert event.resource == event.event_id


# What differs in only one signed respect is another event.
TWO_EVENTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("razorpay", {"created_at": 1}, {"created_at": 2}),
    ("shopify", {"financial_status": "paid"}, {"financial_status": "refunded"}),
    ("paystack", {"event": "charge.success"}, {"event": "charge.dispute.create"}),
    ("paystack", {"data": {"refund_reference": "1"}}, {"data": {"refund_reference": "2"}}),
    ("flutterwave", {"data": {"id": "c", "status": "pending"}}, {"data": {"id": "c", "status": "succeeded"}}),
    ("flutterwave", {"webhook_id": "one"}, {"webhook_id": "two"}),
    ("flutterwave", {"data": {"id": None, "amount": 1}}, {"data": {"id": None, "amount": 2}}),
    ("flutterwave_v3", {"data": {"id": 1, "status": "pending"}}, {"data": {"id": 1, "status": "successful"}}),
    ("pagarme", {"current_status": "paid"}, {"current_status": "refunded"}),
    ("pagbank", {"charges": [{"status": "PAID", "n": 1}]}, {"charges": [{"status": "PAID", "n": 2}]}),
]


@pytest.mark.parametrize(("provider", "one", "two"), TWO_EVENTS)
async def test_different_events_have_different_ids(provider: str, one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = (
        await event_of(provider, changed(provider, **one)),
        await event_of(provider, changed(provider, **two)),
    )
    assert first.event_id != second.event_id


async def test_shopifys_topics_may_share_a_body() -> None:
    """One change of an order is sent under several topics: each is an event, and all are about the order."""
    body = CASES["shopify"].event("x")
    paid = await event_of("shopify", body, X_Shopify_Topic="orders/paid")
    updated = await event_of("shopify", body, X_Shopify_Topic="orders/updated")
    assert paid.event_id != updated.event_id
    assert (paid.type, updated.type) == ("orders/paid", "orders/updated")
    assert paid.resource == updated.resource


async def test_shopifys_newer_header_names_are_read_too() -> None:
    signed = CASES["shopify"].signed()
    newer = Signed([(b"Shopify-Hmac-Sha256", signed.headers[0][1])], signed.body, ((b"Shopify-Topic", b"orders/paid"),))
    (delivery,) = await CASES["shopify"].source().verify(newer.request())
    assert delivery.event.type == "orders/paid"


@pytest.mark.parametrize("joined", [b", ", b",", b" ,  "])
async def test_mollies_two_signatures_may_come_twice_or_joined_by_a_proxy(joined: bytes) -> None:
    body = MOLLIE.signed().body
    ((name, old),) = MOLLIE.sign_bytes(body, MOLLIE.secrets[0])
    ((_, new),) = MOLLIE.sign_bytes(body, MOLLIE.secrets[1])
    for headers in ([(name, old), (name, new)], [(name, old + joined + new)]):
        (delivery,) = await MOLLIE.source(MOLLIE.secrets[1]).verify(Signed(headers, body).request())
        assert delivery.secret_number == 1


@pytest.mark.parametrize("body", ["id=tr_d0b0E3EA3v", ""])
async def test_mollies_classic_webhooks_prove_nothing(body: str) -> None:
    with pytest.raises(SignatureError) as refused:
        await MOLLIE.source().verify(Signed([], body.encode()).request())
    assert refused.value.reason == "missing"


async def test_githubs_older_header_is_never_enough() -> None:
    case = CASES["github"]
    signed = case.signed()
    sha1 = hashlib.sha1(b"whatever").hexdigest().encode()
    for value in (b"sha1=" + sha1, signed.headers[0][1]):
        with pytest.raises(SignatureError):
            await case.source().verify(Signed([(b"X-Hub-Signature", value)], signed.body).request())


async def test_a_lone_surrogate_in_another_part_hides_nothing_of_githubs_event() -> None:
    body = json.dumps({**CASES["github"].event("x"), "note": "\ud800"})
    event = await event_of("github", body, X_GitHub_Event="sponsorship")
    assert (event.type, event.resource) == ("sponsorship.created", "S_1")


async def test_githubs_body_may_be_a_form() -> None:
    form = "payload=" + quote(json.dumps(CASES["github"].event("x")))
    event = await event_of("github", form, X_GitHub_Event="sponsorship")
    assert (event.type, event.resource) == ("sponsorship.created", "S_1")


@pytest.mark.parametrize("body", ["Hello, World!", "payload=", "payload=%FF", "payload", "[]", "{}"])
async def test_githubs_unreadable_events_are_about_themselves(body: str) -> None:
    event = await event_of("github", body, X_GitHub_Event="ping")
    assert (event.type, event.resource) == ("ping", event.event_id)


@pytest.mark.parametrize("key_ids", [[], ["a", "b"], [""], [5]])
def test_klarna_needs_an_id_for_each_secret(key_ids: list[Any]) -> None:
    with pytest.raises(ValidationError):
        KLARNA.source("secret", key_ids=key_ids)


def test_klarnas_ids_differ() -> None:
    with pytest.raises(ValidationError):
        KLARNA.source("one", "two", key_ids=["a", "a"])


async def test_klarnas_request_names_its_key() -> None:
    """It decides even where another of the source's secrets made the signature."""
    source = KLARNA.source(*KLARNA.secrets)
    signed = KLARNA.signed(KLARNA.secrets[0])
    other = signed.with_header(b"Klarna-Signing-Key-Id", KLARNA.key_id(KLARNA.secrets[1]).encode())
    with pytest.raises(SignatureError):
        await source.verify(other.request())
    with pytest.raises(SignatureError):
        await source.verify(signed.with_headers([*signed.headers, other.headers[1]]).request())


async def test_a_length_extended_pagbank_body_is_not_json() -> None:
    """Such a digest can be extended without the secret; the padding in the middle reveals it."""
    case = PagBankCase()
    body = case.signed().body
    length = len(case.secrets[0]) + 1 + len(body)
    padding = b"\x80" + bytes(-(length + 9) % 64) + (length * 8).to_bytes(8)
    with pytest.raises(PayloadError):
        await case.source().verify(case.deliver_bytes(body + padding + b"{}").request())


async def test_pagarmes_fingerprint_is_the_same_in_every_postback() -> None:
    """Pagar.me's own example shows how it is made, and so why it does not identify an event."""
    made = hashlib.sha1(b"2727403#ak_test_21eI4THNDJx7vkJRuAmXYlFACIaxnS").hexdigest()
    assert made == "bbf609f80b08e14b706cfdcb0d07948d5fafe42e"


@pytest.mark.parametrize("body", ["", "a", "id=1", "event=x", "id=%FF&event=x", "&".join(["id=1"] * 3000)])
async def test_a_body_that_is_not_pagarmes_form_is_a_bad_payload(body: str) -> None:
    with pytest.raises(PayloadError):
        await event_of("pagarme", body)
