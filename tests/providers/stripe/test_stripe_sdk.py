"""Stripe's own library asks the stand-in as our client does, and gets the same objects."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
import stripe

from contract.event import Event
from providers.api import Window
from providers.stripe.api import VERSION
from providers.stripe.identity import parse_event
from tests.support.stand_ins.stand_in import Seen
from tests.support.stand_ins.stripe import ACCOUNT, KEY, StripeStandIn
from tests.support.stripe_api import asking

ValueT = TypeVar("ValueT")

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = Window(BEGAN, BEGAN + timedelta(hours=1))
BEGAN_S = int(BEGAN.timestamp())
SENT = ("Authorization", "Stripe-Version", "Stripe-Account", "Stripe-Context")
SECRET = "whsec_of_the_sdk"


@pytest.fixture
async def server() -> AsyncIterator[StripeStandIn]:
    async with StripeStandIn().serving() as stand_in:
        for number in range(230):
            about = {"id": f"pi_{number}", "object": "payment_intent", "amount": 1000 + number, "currency": "eur"}
            type_ = ("payment_intent.succeeded", "charge.failed", "customer.created")[number % 3]
            stand_in.add({"id": f"evt_{number}", "type": type_, "created": BEGAN_S + number, "data": {"object": about}})
            at = (BEGAN + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
            related = {"id": f"pi_{number}", "type": "payment_intent", "url": f"/v1/payment_intents/pi_{number}"}
            stand_in.thin.append(
                {"id": f"evt_t{number}", "object": "v2.core.event", "type": f"v1.{type_}", "created": at,
                 "livemode": False, "context": None, "related_object": related}
            )  # fmt: skip
        stand_in.objects["/v1/payment_intents/pi_0"] = {
            "id": "pi_0", "object": "payment_intent", "amount": 1000, "amount_received": 1000, "currency": "eur",
            "status": "succeeded", "livemode": False,
        }  # fmt: skip
        yield stand_in


async def by_sdk(server: StripeStandIn, ask: Callable[[stripe.StripeClient], ValueT]) -> tuple[ValueT, list[Seen]]:
    """Return what the library returns, and the requests that it made."""
    sdk = stripe.StripeClient(
        KEY, base_addresses={"api": server.url}, max_network_retries=0, http_client=stripe.RequestsClient()
    )
    server.requests.clear()
    value = await asyncio.to_thread(ask, sdk)
    return value, list(server.requests)


async def by_us(server: StripeStandIn, **changed: Any) -> tuple[list[dict[str, Any]], list[Seen]]:
    server.requests.clear()
    async with asking(server, **changed) as api:
        pages = [page async for page in api.list_events(HOUR)]
    return [json.loads(each.body) for page in pages for each in page], list(server.requests)


def said(requests: list[Seen]) -> list[tuple[object, ...]]:
    """Return what matters of the requests."""
    return [
        (seen.method, seen.path, sorted(seen.query.items()), [seen.headers.get(name) for name in SENT])
        for seen in requests
    ]  # fmt: skip


def window() -> dict[str, int]:
    return {"gte": BEGAN_S, "lt": BEGAN_S + 3600}


async def test_the_library_pages_through_the_same_events_with_the_same_requests(server: StripeStandIn) -> None:
    types = ["charge.failed", "payment_intent.succeeded"]

    def ask(sdk: stripe.StripeClient) -> list[dict[str, Any]]:
        asked: Any = {"limit": 100, "created": window(), "types": types}
        found = sdk.v1.events.list(asked)
        return [event.to_dict() for event in found.auto_paging_iter()]

    theirs, their_requests = await by_sdk(server, ask)
    ours, our_requests = await by_us(server, reconcile_types=types)
    assert len(theirs) == 154
    assert ours == theirs
    assert said(our_requests) == said(their_requests)


async def test_the_events_of_a_connected_account_are_asked_for_alike(server: StripeStandIn) -> None:
    server.add({"id": "evt_shop", "type": "charge.failed", "created": BEGAN_S, "data": {"object": {}}}, "acct_1Shop")

    def ask(sdk: stripe.StripeClient) -> list[str]:
        asked: Any = {"limit": 100, "created": window(), "types": ["charge.failed"]}
        found = sdk.v1.events.list(asked, {"stripe_context": "acct_1Shop"})
        return [event.id for event in found.auto_paging_iter()]

    theirs, their_requests = await by_sdk(server, ask)
    ours, our_requests = await by_us(server, reconcile_types=["charge.failed"], account="acct_1Shop")
    assert theirs == [event["id"] for event in ours] == ["evt_shop"]
    assert said(our_requests) == said(their_requests)


async def test_the_library_pages_through_the_same_thin_events(server: StripeStandIn) -> None:
    types = ["v1.payment_intent.succeeded"]

    def ask(sdk: stripe.StripeClient) -> list[str]:
        bounds = {"gte": "2026-11-01T12:00:00Z", "lt": "2026-11-01T13:00:00Z"}
        asked: Any = {"limit": 50, "created": bounds, "types": types}
        found = sdk.v2.core.events.list(asked)
        return [event.id for event in found.auto_paging_iter()]

    theirs, _ = await by_sdk(server, ask)
    ours, _ = await by_us(server, events="thin", reconcile_types=types)
    assert len(theirs) == 77
    assert [event["id"] for event in ours] == theirs


async def test_the_library_fetches_the_object_of_a_thin_event_alike(server: StripeStandIn) -> None:
    body = json.dumps({**server.thin[0], "context": "acct_1Shop"})
    signature = stripe.WebhookSignature.generate_signature_header(body, SECRET)

    def ask(sdk: stripe.StripeClient) -> dict[str, Any]:
        notification = sdk.parse_event_notification(body, signature, SECRET)
        return notification.fetch_related_object().to_dict()  # type: ignore[union-attr]

    theirs, their_requests = await by_sdk(server, ask)
    server.requests.clear()
    parsed = parse_event(body.encode())
    event = Event(
        source="stripe", namespace="stripe", provider="stripe", event_id=parsed.event_id, type=parsed.type,
        resource=parsed.resource, occurred_at=parsed.occurred_at, received_at=BEGAN, signed="body",
        body=body.encode(), account=parsed.account,
    )  # fmt: skip
    async with asking(server) as api:
        fetched = await api.fetch(event)
    assert json.loads(fetched.body)["data"]["object"] == theirs
    assert said(server.requests) == said(their_requests)


async def test_the_library_reads_single_events_and_the_account(server: StripeStandIn) -> None:
    event, _ = await by_sdk(server, lambda sdk: sdk.v1.events.retrieve("evt_3"))
    assert event.to_dict() == server.events[""][3]
    account, _ = await by_sdk(server, lambda sdk: sdk.v1.accounts.retrieve_current())
    assert account.id == ACCOUNT


async def test_the_stand_in_refuses_what_stripe_refuses(server: StripeStandIn) -> None:
    server.keys.clear()
    with pytest.raises(stripe.AuthenticationError):
        await by_sdk(server, lambda sdk: sdk.v1.events.list())
    server.restricted[KEY] = {"charges"}
    with pytest.raises(stripe.PermissionError):
        await by_sdk(server, lambda sdk: sdk.v1.events.list())
    server.keys.add(KEY)
    server.restricted.clear()
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await by_sdk(server, lambda sdk: sdk.v1.events.retrieve("evt_unknown"))
    assert missing.value.code == "resource_missing"
    with pytest.raises(stripe.InvalidRequestError):
        await by_sdk(server, lambda sdk: sdk.v1.events.list({"types": ["charge.failed"] * 21}))


def test_objects_are_fetched_in_the_version_of_the_library() -> None:
    assert stripe.api_version == VERSION
