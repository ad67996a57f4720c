"""PayPal with credentials: money is booked without `trust = "all"`, and a body forged to the same CRC books nothing.

The requests are signed as PayPal signs, and verified as the gateway does; the API is a stand-in over HTTP.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from consumers.confirmation import asker
from consumers.confirmation.access import Access
from consumers.handlers.payments import builtin
from consumers.settings import Settings
from contract.event import Event
from providers.oauth import ClientAccess
from providers.paypal.api import PayPalApi
from tests.support.cases.base import Signed
from tests.support.confirming import Asking
from tests.support.consuming import Workers
from tests.support.forged_crc import with_the_same_crc
from tests.support.provider_cases import CASES
from tests.support.stand_ins.paypal import CLIENT_ID, CLIENT_SECRET, PayPal

CASE = CASES["paypal"]


@pytest.fixture
async def paypal() -> AsyncIterator[PayPal]:
    async with PayPal("https://api.paypal.com").serving() as server:
        yield server


@pytest.fixture
def asking(workers: Workers, settings: Settings, paypal: PayPal, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """Workers of a source with `confirm = "api"`."""
    monkeypatch.setattr(asker, "LOOK_EVERY_S", 0.05)
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    table = {"source": "a", "namespace": "a", "api_url": paypal.url, **client}
    return Asking(workers, settings, Access({"a": PayPalApi(ClientAccess.model_validate(table))}), cast("Any", paypal))


def body_of(resource: dict[str, Any], type_: str, kind: str) -> bytes:
    event = {"id": "WH-1", "event_type": type_, "create_time": "2026-09-17T11:59:58.613Z", "resource_type": kind}
    return json.dumps({**event, "resource": resource}).encode()


async def verified(request: Signed) -> Event:
    """Return the event as the gateway verifies it, and publishes it."""
    (delivery,) = await CASE.source().verify(request.request())
    assert delivery.event.signed == "weak"
    return delivery.event


async def test_what_paypal_knows_is_booked_without_trusting_its_signature(asking: Asking, paypal: PayPal) -> None:
    capture = paypal.has_capture("C1", "10.99")
    event = await verified(CASE.deliver_bytes(body_of(capture, "PAYMENT.CAPTURE.COMPLETED", "capture")))
    await asking.publish(event)
    async with asking.working():
        await asking.decided(**{event.event_id: "confirmed"})
    assert await asking.transfers() == [("capture:C1", 1099, "USD")]
    assert await asking.on_hold() == []
    await asking.assert_sound()


@pytest.mark.parametrize(
    "claimed",
    [
        {"amount": {"currency_code": "USD", "value": "99999.00"}},
        {"amount": {"currency_code": "EUR", "value": "10.99"}},
        {"id": "C2"},
    ],
)
async def test_a_body_that_is_forged_to_the_same_crc_books_nothing(
    asking: Asking, paypal: PayPal, claimed: dict[str, Any]
) -> None:
    capture = paypal.has_capture("C1", "10.99")
    genuine = body_of(capture, "PAYMENT.CAPTURE.COMPLETED", "capture")
    other = body_of({**capture, **claimed}, "PAYMENT.CAPTURE.COMPLETED", "capture")
    forged = await verified(CASE.deliver_bytes(genuine).with_body(with_the_same_crc(other, genuine)))
    await asking.publish(forged)
    async with asking.working(confirm_lag_s=0, confirm_not_found_s=0):
        await asking.decided(**{forged.event_id: "not_found" if "id" in claimed else "disagrees"})
    assert await asking.transfers() == []
    assert await asking.on_hold() == [forged.event_id]
    await asking.assert_sound()


async def test_a_refund_is_not_booked_under_another_payment(asking: Asking, paypal: PayPal) -> None:
    refund = paypal.has_refund("R1", "C1", "5.00")
    links = [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C2"}]
    event = await verified(
        CASE.deliver_bytes(body_of({**refund, "links": links}, "PAYMENT.CAPTURE.REFUNDED", "refund"))
    )
    assert event.resource == "C2"
    await asking.publish(event)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(**{event.event_id: "not_found"})
    assert await asking.transfers() == []


async def test_without_credentials_nothing_changes(workers: Workers, paypal: PayPal) -> None:
    capture = paypal.has_capture("C1", "10.99")
    event = await verified(CASE.deliver_bytes(body_of(capture, "PAYMENT.CAPTURE.COMPLETED", "capture")))
    await workers.stream.publish(event)
    async with workers.working(builtin({})):
        await workers.drained()
    assert await workers.rows("SELECT reason FROM held_back") == [("unsigned",)]
    assert await workers.rows("SELECT event_id FROM confirmations") == []
    assert paypal.requests == []
