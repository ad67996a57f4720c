"""PayPal's own package makes the same requests to the stand-in as we do, and gets the same objects.

The later package (paypal-server-sdk) reads captures, authorizations, refunds and orders of the stand-in too, but has
no list of events, and needs older versions of what others need.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import paypalrestsdk
import pytest

from contract.event import Event
from providers.api import Limits, Window
from providers.oauth import ClientAccess
from providers.paypal.api import PayPalApi
from tests.support.cases.base import NOW
from tests.support.stand_ins.paypal import CLIENT_ID, CLIENT_SECRET, PayPal
from tests.support.stand_ins.stand_in import Seen

SINCE = datetime(2026, 9, 17, 10, tzinfo=UTC)
QUICK = Limits(timeout_s=2, attempts_max=2, requests_per_s_max=10_000)


@pytest.fixture
async def paypal() -> AsyncIterator[PayPal]:
    async with PayPal().serving() as server:
        yield server


async def by_package(paypal: PayPal, ask: Callable[[Any], Any]) -> Any:
    """Ask with PayPal's package, which waits for its answers."""
    api = paypalrestsdk.Api(mode="sandbox", endpoint=paypal.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    return await asyncio.to_thread(ask, api)


def ours(paypal: PayPal) -> PayPalApi:
    table = {"source": "a", "namespace": "a", "mode": "test", "api_url": paypal.url}
    return PayPalApi(
        ClientAccess.model_validate({**table, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    )  # fmt: skip


def asked(requests: list[Seen]) -> list[tuple[str, str, dict[str, str], bool]]:
    """Return what was asked for, and whether the client said who it is."""
    return [
        (each.method, each.path.rstrip("/"), dict(each.query), each.headers["Authorization"].startswith("Bearer "))
        for each in requests
        if each.path != "/v1/oauth2/token"
    ]


def token_request(requests: list[Seen]) -> tuple[str, str, bytes]:
    """Return the request for a token."""
    (token,) = [each for each in requests if each.path == "/v1/oauth2/token"]
    return token.headers["Authorization"], token.headers["Content-Type"], token.body


async def test_the_package_lists_the_same_events(paypal: PayPal) -> None:
    for number in range(3):
        at = (SINCE + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        capture = paypal.has_capture(f"C{number}", "10.00")
        paypal.has_event(f"WH-{number}", "PAYMENT.CAPTURE.COMPLETED", capture, at, "capture")
    query = {"start_time": "2026-09-17T10:00:00Z", "end_time": "2026-09-17T10:01:01Z", "page_size": "100"}
    theirs = await by_package(paypal, lambda api: paypalrestsdk.WebhookEvent.all(query, api=api).to_dict()["events"])
    by_them, paypal.requests = list(paypal.requests), []
    api = ours(paypal)
    await api.open(QUICK)
    window = Window(SINCE, SINCE + timedelta(minutes=1))
    found = [json.loads(each.body) async for page in api.list_events(window) for each in page]
    await api.close()
    assert found == theirs
    assert asked(paypal.requests) == asked(by_them)
    assert token_request(paypal.requests) == token_request(by_them)


async def test_the_package_fetches_the_same_objects(paypal: PayPal) -> None:
    capture = paypal.has_capture("C1", "10.00")
    objects = {
        "PAYMENT.CAPTURE.COMPLETED": ("C1", capture),
        "PAYMENT.CAPTURE.REFUNDED": ("C1", paypal.has_refund("R1", "C1", "2.00")),
        "PAYMENT.AUTHORIZATION.CREATED": ("A1", paypal.has_authorization("A1", "3.00")),
        "PAYMENT.SALE.COMPLETED": ("S1", paypal.has_sale("S1", "9.00")),
        "PAYMENT.SALE.REFUNDED": ("S1", paypal.has_first_refund("R2", "1.00", sale_id="S1")),
        "CHECKOUT.ORDER.COMPLETED": ("C1", paypal.has_order("O1", capture)),
        "CUSTOMER.DISPUTE.CREATED": ("C1", paypal.has_dispute("PP-D-1", {"C1": "10.00"}, "10.00")),
    }
    paths = list(paypal.objects)
    theirs = await by_package(paypal, lambda api: [api.get(path.removeprefix("/")) for path in paths])
    by_them, paypal.requests = list(paypal.requests), []
    api = ours(paypal)
    await api.open(QUICK)
    event = Event("a", "a", "paypal", "t_1", "x", "C1", NOW, NOW, "weak", b"")
    found = []
    for type_, (about, resource) in objects.items():
        body = json.dumps({"id": "WH-1", "event_type": type_, "resource": resource}).encode()
        fetched = await api.fetch(replace(event, type=type_, resource=about, body=body))
        found.append(json.loads(fetched.body)["resource"])
    await api.close()
    assert found == theirs
    assert asked(paypal.requests) == asked(by_them)


async def test_the_package_finds_no_object_where_we_find_none(paypal: PayPal) -> None:
    with pytest.raises(paypalrestsdk.ResourceNotFound):
        await by_package(paypal, lambda api: api.get("v2/payments/captures/C9"))
