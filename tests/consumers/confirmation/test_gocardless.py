"""GoCardless, whose events name no amount: what is delivered or listed is asked about, and booked as its API says."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.confirmation import asker
from consumers.confirmation.access import Access
from consumers.settings import Settings
from contract.event import Event
from providers.apis import build_apis
from providers.gocardless.webhook import parse_event
from sql.audit import audit
from tests.support.confirming import Asking
from tests.support.consuming import Workers
from tests.support.event_lists import LISTS, NOON, text
from tests.support.stand_ins.gocardless import GoCardlessStandIn

PAYMENT = {"id": "PM1", "amount": 4590, "currency": "EUR", "status": "failed", "links": {"mandate": "MD1"}}
REFUND = {"id": "RF1", "amount": 1500, "currency": "EUR", "status": "paid", "links": {"payment": "PM1"}}


def an_event(number: int, type_: str) -> dict[str, Any]:
    kind, action = type_.split(".")
    links = {"payments": {"payment": "PM1"}, "refunds": {"refund": "RF1"}, "mandates": {"mandate": "MD1"}}[kind]
    at = text(NOON + timedelta(days=number))
    return {"id": f"EV{number}", "created_at": at, "resource_type": kind, "action": action, "links": links}


STORY = [
    an_event(number, type_)
    for number, type_ in enumerate(
        [
            "mandates.active", "payments.created", "payments.submitted", "payments.failed",
            "payments.resubmission_requested", "payments.confirmed", "refunds.created", "refunds.paid",
            "payments.failed",
        ]
    )
]  # fmt: skip
BOOKED = [("capture:EV5", 4590, "EUR"), ("capture_failed:EV5", 4590, "EUR"), ("refund:RF1", 1500, "EUR")]
ASKED = {f"EV{number}": "confirmed" for number in (1, 2, 3, 4, 5, 7, 8)}


def published(event: dict[str, Any]) -> Event:
    """Return an event as the gateway publishes it."""
    body = json.dumps(event).encode()
    parsed = parse_event(body)
    named = parsed.event_id, parsed.type, parsed.resource
    return Event("shop", "shop", "gocardless", *named, parsed.occurred_at, NOON, "body", body)


@pytest.fixture
async def server() -> AsyncIterator[GoCardlessStandIn]:
    async with GoCardlessStandIn().serving() as server:
        server.objects.update(PM1=PAYMENT, RF1=REFUND)
        server.events.extend(STORY)
        yield server


@pytest.fixture
def shop(workers: Workers, settings: Settings, server: Any, monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setattr(asker, "LOOK_EVERY_S", 0.05)
    return Asking(workers, settings, Access(build_apis({"shop": LISTS["gocardless"].table(server.url)})), server)


@pytest.mark.parametrize("order", [1, -1])
async def test_a_story_in_any_order_books_what_moved(shop: Asking, order: int) -> None:
    """A payment failed, was collected again, and failed late; a part was refunded meanwhile."""
    await shop.publish(*map(published, STORY[::order]))
    async with shop.working():
        await shop.decided(**ASKED)
    assert await shop.transfers() == BOOKED
    row = await shop.workers.row("SELECT payment_id, captured, refunded FROM payments WHERE payment_id = 'PM1'")
    assert row == ("PM1", 0, 1500)
    assert await audit(shop.workers.connection) == []


async def test_what_reconcile_added_is_asked_about_as_well(shop: Asking) -> None:
    """That the list has it says that it happened, but not how much it was about."""
    await shop.publish(*(replace(published(event), signed="api", origin="reconcile") for event in STORY))
    async with shop.working():
        await shop.decided(**ASKED)
    assert await shop.transfers() == BOOKED
    assert await audit(shop.workers.connection) == []


async def test_without_confirm_nothing_moves(shop: Asking) -> None:
    await shop.publish(*map(published, STORY))
    async with shop.workers.working():
        await shop.workers.drained()
    assert await shop.transfers() == []
    assert await shop.states() == {}
