"""PayPal's objects: what an event says is asked of the API, by ids only, and booked as the API says it is now."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from providers.api import ApiRefusedError, ApiUnexpectedError, Limits, NotFoundError
from providers.oauth import ClientAccess
from providers.paypal.api import PayPalApi
from providers.paypal.facts import TYPES, extract_facts
from tests.support.cases.base import NOW
from tests.support.forged_crc import with_the_same_crc
from tests.support.provider_cases import CASES
from tests.support.recorded import Recording, recordings
from tests.support.stand_ins.paypal import CLIENT_ID, CLIENT_SECRET, PayPal
from tests.support.stand_ins.stand_in import status, text

QUICK = Limits(timeout_s=2, attempts_max=2, requests_per_s_max=10_000)


@pytest.fixture
async def paypal() -> AsyncIterator[PayPal]:
    async with PayPal().serving() as server:
        yield server


@pytest.fixture
async def api(paypal: PayPal) -> AsyncIterator[PayPalApi]:
    table = {"source": "a", "namespace": "a", "mode": "test", "api_url": paypal.url}
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    api = PayPalApi(ClientAccess.model_validate({**table, **client}))
    await api.open(QUICK)
    yield api
    await api.close()


def event(type_: str, resource: object, about: str) -> Event:
    body = json.dumps({"id": "WH-1", "event_type": type_, "resource": resource}).encode()
    return Event("a", "a", "paypal", "t_1", type_, about, NOW, NOW, "weak", body)


async def confirmed(api: PayPalApi, delivered: Event) -> Event:
    fetched = await api.fetch(delivered)
    assert json.loads(fetched.body)["event_type"] == fetched.type
    return replace(delivered, body=fetched.body, type=fetched.type, signed="api")


async def facts(api: PayPalApi, delivered: Event) -> list[Fact]:
    return list(extract_facts(await confirmed(api, delivered)))


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


PATHS = {
    "PAYMENT.AUTHORIZATION.CREATED": "/v2/payments/authorizations/",
    "PAYMENT.AUTHORIZATION.VOIDED": "/v2/payments/authorizations/",
    "PAYMENT.CAPTURE.REFUNDED": "/v2/payments/refunds/",
    "PAYMENT.CAPTURE.REVERSED": "/v2/payments/refunds/",
    "PAYMENT.SALE.REFUNDED": "/v1/payments/refund/",
    "PAYMENT.SALE.REVERSED": "/v1/payments/refund/",
    "PAYMENT.REFUND.": "/v2/payments/refunds/",
    "PAYMENT.CAPTURE.": "/v2/payments/captures/",
    "PAYMENT.SALE.": "/v1/payments/sale/",
    "CHECKOUT.ORDER.": "/v2/checkout/orders/",
    "CUSTOMER.DISPUTE.": "/v1/customer/disputes/",
}
RECORDED = [each for each in recordings("paypal") if each.content["event"]["type"] in TYPES]


@pytest.mark.parametrize("recording", RECORDED, ids=[each.name for each in RECORDED])
async def test_a_genuine_event_is_confirmed_with_the_facts_it_has(
    paypal: PayPal, api: PayPalApi, recording: Recording
) -> None:
    delivered = recording.event()
    resource = recording.content["body"]["resource"]
    path = next(path for type_, path in PATHS.items() if delivered.type.startswith(type_))
    if "state" in resource and path.startswith("/v2"):
        path = path.replace("/v2", "/v1").rstrip("/s") + "/"
    paypal.objects[path + resource.get("dispute_id", resource.get("id"))] = resource
    assert await facts(api, delivered) == list(extract_facts(delivered))
    assert api.must_ask(delivered)


@pytest.mark.parametrize(
    ("now", "type_", "fact"),
    [
        ("COMPLETED", "PAYMENT.CAPTURE.COMPLETED", Fact("captured", 1099, "USD", "C1")),
        ("PARTIALLY_REFUNDED", "PAYMENT.CAPTURE.COMPLETED", Fact("captured", 1099, "USD", "C1")),
        ("REFUNDED", "PAYMENT.CAPTURE.COMPLETED", Fact("captured", 1099, "USD", "C1")),
        ("PENDING", "PAYMENT.CAPTURE.PENDING", Fact("pending", 1099, "USD")),
        ("DECLINED", "PAYMENT.CAPTURE.DENIED", Fact("failed", 1099, "USD")),
        ("FAILED", "PAYMENT.CAPTURE.DENIED", Fact("failed", 1099, "USD")),
    ],
)
async def test_what_is_booked_is_the_state_that_the_api_knows(
    paypal: PayPal, api: PayPalApi, now: str, type_: str, fact: Fact
) -> None:
    """The event claims a larger amount, captured, whatever became of it."""
    paypal.has_capture("C1", "10.99", status=now)
    claimed = {"id": "C1", "amount": usd("9999.00"), "status": "COMPLETED"}
    found = await confirmed(api, event("PAYMENT.CAPTURE.COMPLETED", claimed, "C1"))
    assert (found.type, list(extract_facts(found))) == (type_, [fact])


@pytest.mark.parametrize(
    ("now", "kind"),
    [("CREATED", "authorized"), ("PARTIALLY_CREATED", "authorized"), ("PARTIALLY_CAPTURED", "authorized"),
     ("PENDING", "pending"), ("DENIED", "failed"), ("VOIDED", "canceled"), ("EXPIRED", "canceled")],
)  # fmt: skip
async def test_an_authorization_is_as_the_api_says(paypal: PayPal, api: PayPalApi, now: str, kind: str) -> None:
    paypal.has_authorization("A1", "5.00", status=now)
    for type_ in ("PAYMENT.AUTHORIZATION.CREATED", "PAYMENT.AUTHORIZATION.VOIDED"):
        (fact,) = await facts(api, event(type_, {"id": "A1"}, "A1"))
        assert (fact.kind, fact.amount) == (kind, 500)


@pytest.mark.parametrize("type_", ["PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED", "PAYMENT.REFUND.COMPLETED"])
async def test_a_refund_is_booked_once_the_api_says_it_is_completed(paypal: PayPal, api: PayPalApi, type_: str) -> None:
    refund = paypal.has_refund("R1", "C1", "3.00")
    delivered = event(type_, {**refund, "amount": usd("300.00")}, "C1")
    assert await facts(api, delivered) == [Fact("refunded", 300, "USD", "R1")]
    refund["status"] = "PENDING"
    assert await facts(api, delivered) == []
    refund["status"] = "FAILED"
    assert await facts(api, delivered) == [Fact("refund_failed", 300, "USD", "R1")]


async def test_a_refund_of_another_capture_is_not_confirmed(paypal: PayPal, api: PayPalApi) -> None:
    refund = paypal.has_refund("R1", "C2", "3.00")
    for about in ("C1", "R1"):
        with pytest.raises(NotFoundError, match="not of the event's payment"):
            await api.fetch(event("PAYMENT.CAPTURE.REFUNDED", refund, about))


async def test_both_generations_of_the_api_are_asked(paypal: PayPal, api: PayPalApi) -> None:
    paypal.has_sale("S1", "10.00", "partially_refunded")
    assert await facts(api, event("PAYMENT.SALE.COMPLETED", {"id": "S1"}, "S1")) == [
        Fact("captured", 1000, "USD", "S1")
    ]
    refund = paypal.has_first_refund("R1", "-2.00", sale_id="S1")
    assert await facts(api, event("PAYMENT.SALE.REFUNDED", refund, "S1")) == [Fact("refunded", 200, "USD", "R1")]
    refund = paypal.has_first_refund("R2", "2.00", capture_id="C1")
    assert await facts(api, event("PAYMENT.CAPTURE.REFUNDED", refund, "C1")) == [Fact("refunded", 200, "USD", "R2")]
    capture = {"id": "C1", "amount": {"total": "4.00", "currency": "EUR"}, "state": "completed"}
    paypal.objects["/v1/payments/capture/C1"] = capture
    assert await facts(api, event("PAYMENT.CAPTURE.COMPLETED", capture, "C1")) == [Fact("captured", 400, "EUR", "C1")]
    with pytest.raises(NotFoundError):
        await api.fetch(event("PAYMENT.CAPTURE.COMPLETED", {"id": "C1"}, "C1"))


async def test_a_dispute_is_as_the_api_says(paypal: PayPal, api: PayPalApi) -> None:
    dispute = paypal.has_dispute("PP-D-1", {"C1": "6.00", "C2": "4.00"}, "10.00")
    claimed = {**dispute, "dispute_amount": usd("1.00"), "status": "RESOLVED",
               "dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"}}  # fmt: skip
    resolved = event("CUSTOMER.DISPUTE.RESOLVED", claimed, "C1")
    open_ = [
        Fact("dispute_opened", 600, "USD", "PP-D-1"),
        Fact("dispute_opened", 400, "USD", "PP-D-1/C2", payment="C2"),
    ]
    assert await facts(api, resolved) == open_
    dispute["disputed_transactions"].reverse()
    assert await facts(api, resolved) == open_
    dispute.update(status="RESOLVED", dispute_outcome={"outcome_code": "RESOLVED_BUYER_FAVOUR"})
    assert {each.kind for each in await facts(api, event("CUSTOMER.DISPUTE.CREATED", claimed, "C1"))} == {
        "dispute_lost"
    }
    with pytest.raises(NotFoundError, match="not of the event's payment"):
        await api.fetch(replace(resolved, resource="C3"))
    dispute["disputed_transactions"] = [{"seller_transaction_id": []}, {"seller_transaction_id": {}}, []]
    with pytest.raises(NotFoundError, match="not of the event's payment"):
        await api.fetch(resolved)


async def test_an_order_reports_its_capture_or_leaves_several_to_their_events(paypal: PayPal, api: PayPalApi) -> None:
    one, two = (paypal.has_capture(name, "2.00") for name in ("C1", "C2"))
    paypal.has_order("O1", one)
    assert await facts(api, event("CHECKOUT.ORDER.COMPLETED", {"id": "O1"}, "C1")) == [
        Fact("captured", 200, "USD", "C1")
    ]
    assert await facts(api, event("CHECKOUT.ORDER.COMPLETED", {"id": "O1"}, "O1")) == []
    paypal.has_order("O1", one, two)
    assert await facts(api, event("CHECKOUT.ORDER.COMPLETED", {"id": "O1"}, "O1")) == []
    with pytest.raises(NotFoundError, match="not of the event's payment"):
        await api.fetch(event("CHECKOUT.ORDER.COMPLETED", {"id": "O1"}, "C3"))


async def test_only_the_id_is_taken_from_an_event_and_never_an_address(paypal: PayPal, api: PayPalApi) -> None:
    paypal.has_capture("C1", "10.00")
    links = [{"rel": rel, "href": "http://127.0.0.1:1/v2/payments/captures/C9"} for rel in ("self", "up")]
    body = {"id": "C1", "links": links}
    assert await facts(api, event("PAYMENT.CAPTURE.COMPLETED", body, "C1")) == [Fact("captured", 1000, "USD", "C1")]
    assert [each.path for each in paypal.requests] == ["/v1/oauth2/token", "/v2/payments/captures/C1"]


@pytest.mark.parametrize(
    "id_", ["", "..", "../../../v1/oauth2/token", "C1/refund", "C1?x=1", "C1#", "C\x001", "é", "C" * 101, None, [], {}]
)  # fmt: skip
async def test_what_is_no_id_is_not_asked_for(paypal: PayPal, api: PayPalApi, id_: Any) -> None:
    for type_ in TYPES:
        name = "dispute_id" if type_.startswith("CUSTOMER") else "id"
        with pytest.raises(NotFoundError, match="names no"):
            await api.fetch(event(type_, {name: id_}, "C1"))
    with pytest.raises(NotFoundError, match="names no"):
        await api.fetch(event("PAYMENT.CAPTURE.COMPLETED", None, "C1"))
    assert paypal.requests == []


async def test_an_object_that_does_not_exist_is_not_found(api: PayPalApi) -> None:
    with pytest.raises(NotFoundError, match="there is no such object"):
        await api.fetch(event("PAYMENT.CAPTURE.COMPLETED", {"id": "C1"}, "C1"))


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"null", b"<html>", b'{"id":"C2","status":"COMPLETED"}', b'{"id":"C1","status":"NEW"}', b'{"id":"C1"}',
     b'{"id":"C1","status":"COMPLETED"}, "event_type": "X", "resource": {"id":"C1","status":"COMPLETED"}',
     b'{"id":"C1","status":"COMPLETED","amount":NaN}'],
)  # fmt: skip
async def test_an_answer_that_is_not_the_object_confirms_nothing(
    paypal: PayPal, api: PayPalApi, answer: bytes
) -> None:  # fmt: skip
    paypal.mishaps.extend([None, text(answer)])
    with pytest.raises(ApiUnexpectedError):
        await api.fetch(event("PAYMENT.CAPTURE.COMPLETED", {"id": "C1"}, "C1"))


async def test_no_amount_is_rounded_on_its_way(paypal: PayPal, api: PayPalApi) -> None:
    amount = b'{"value": 90071992547409.93, "currency_code": "USD"}'
    paypal.mishaps.extend([None, text(b'{"id":"C1","status":"COMPLETED","amount":' + amount + b"}")])
    (fact,) = await facts(api, event("PAYMENT.CAPTURE.COMPLETED", {"id": "C1"}, "C1"))
    assert fact.amount == 9007199254740993


async def test_an_object_that_may_not_be_read_is_refused_not_missing(paypal: PayPal, api: PayPalApi) -> None:
    paypal.mishaps.extend([None, status(403, {"name": "NOT_AUTHORIZED"})])
    with pytest.raises(ApiRefusedError, match="403"):
        await api.fetch(event("PAYMENT.CAPTURE.COMPLETED", {"id": "C1"}, "C1"))


async def test_a_body_that_is_forged_to_the_same_crc_passes_the_signature_and_is_not_what_is_booked(
    paypal: PayPal, api: PayPalApi
) -> None:
    case = CASES["paypal"]
    capture = paypal.has_capture("C1", "10.00")
    envelope = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource_type": "capture"}
    genuine = json.dumps({**envelope, "resource": capture}).encode()
    claimed = json.dumps({**envelope, "resource": {**capture, "amount": usd("9999.00")}}).encode()
    forged = case.deliver_bytes(genuine).with_body(with_the_same_crc(claimed, genuine))
    (delivery,) = await case.source().verify(forged.request())
    assert delivery.event.signed == "weak"
    assert extract_facts(delivery.event) == [Fact("captured", 999_900, "USD", "C1")]
    assert await facts(api, delivery.event) == [Fact("captured", 1000, "USD", "C1")]


def test_events_that_move_no_money_are_not_asked_about(api: PayPalApi) -> None:
    assert not api.must_ask(event("BILLING.SUBSCRIPTION.CREATED", {"id": "I-1"}, "I-1"))
