"""A signed webhook becomes exactly one committed row."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
import standardwebhooks

from tests.support.events import (
    HMAC_SECRET,
    STRIPE_SECRET,
    Signed,
    hmac_event,
    signed_hmac,
    signed_stripe,
    stripe_event,
)
from tests.support.harness import Harness
from tests.support.load import Answer, deliver
from tests.support.wait import until

STANDARD_SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 24 b").decode()

SOURCES = f"""
[stripe]
provider = "stripe"
secrets = ["{STRIPE_SECRET}"]

[stripe-old]
provider = "stripe"
secrets = ["whsec_of_the_old_endpoint"]
namespace = "stripe"

[standard]
provider = "standard_webhooks"
secrets = ["{STANDARD_SECRET}"]

[default]
provider = "hmac"
secrets = ["{HMAC_SECRET}"]
"""


async def started(harness: Harness) -> str:
    """One gateway with these sources and one worker; the gateway's url."""
    harness.sources_toml = SOURCES
    await harness.add_workers(1)
    await harness.add_gateways(1)
    return harness.urls[0]


async def rows(harness: Harness, table: str, count: int, columns: str = "*") -> list[dict[str, Any]]:
    """The rows of a table, once it has that number."""
    async with harness.database() as connection:
        query = f"SELECT {columns} FROM {table} ORDER BY 1, 2"
        found = await until(lambda: _at_least(connection.fetch(query), count), what=f"{table} has {count} rows")
    assert len(found) == count
    return [dict(row) for row in found]


async def _at_least(fetching: Any, count: int) -> list[Any] | None:
    found: list[Any] = await fetching
    return found if len(found) >= count else None


async def test_a_payment_signed_by_the_stripe_sdk(harness: Harness, session: aiohttp.ClientSession) -> None:
    url = await started(harness)
    signed = signed_stripe(stripe_event("evt_1", "pi_1", amount=1999, currency="eur"))
    first = await deliver(session, url, signed)
    assert (first.status, first.document["status"], first.document["event_id"]) == (202, "accepted", "evt_1")
    assert first.document["durability"] == "fsync"
    assert await deliver(session, url, signed) == Answer(200, {"status": "duplicate", "event_id": "evt_1"})

    (event,) = await rows(
        harness, "events", 1, "namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at"
    )
    assert event == {
        "namespace": "stripe", "event_id": "evt_1", "source": "stripe", "provider": "stripe",
        "entry_id": first.document["entry_id"], "type": "payment_intent.succeeded", "resource": "pi_1",
        "signed": "body", "occurred_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }  # fmt: skip
    (payment,) = await rows(harness, "payments", 1)
    (committed,) = await rows(harness, "events", 1, "namespace, event_id, committed_at")
    assert payment.pop("recorded_at") == committed["committed_at"]
    assert {name: value for name, value in payment.items() if value} == {
        "namespace": "stripe", "payment_id": "pi_1", "provider": "stripe", "currency": "EUR", "amount": 1999,
        "captured": 1999, "authorized": True, "succeeded": True, "status": "succeeded",
        "first_occurred_at": event["occurred_at"], "last_occurred_at": event["occurred_at"],
        "asked": '{"EUR": 0}',
    }  # fmt: skip
    (payload,) = await rows(harness, "payloads", 1)
    assert payload["body"] == signed.body
    assert await harness.broken_rules() == []


async def test_postgres_says_no_when_redis_has_forgotten(harness: Harness, session: aiohttp.ClientSession) -> None:
    url = await started(harness)
    signed = signed_stripe(stripe_event("evt_1", "pi_1"))
    first = await deliver(session, url, signed)
    await rows(harness, "events", 1)
    async with harness.redis() as redis:
        await until(harness.is_empty, what="the first entry has left the stream")
        await redis.delete(harness.keys.seen("stripe", "evt_1"))
    second = await deliver(session, url, signed)
    assert (first.status, second.status) == (202, 202)
    (duplicate,) = await rows(harness, "duplicates", 1)
    assert duplicate["entry_id"] == second.document["entry_id"]
    (event,) = await rows(harness, "events", 1)
    assert event["entry_id"] == first.document["entry_id"]
    await rows(harness, "payments", 1)
    await rows(harness, "payloads", 1)
    await until(harness.is_empty, what="the stream is drained")
    assert await harness.broken_rules() == []


async def test_an_in_house_event_at_the_short_address(harness: Harness, session: aiohttp.ClientSession) -> None:
    url = await started(harness)
    answer = await deliver(session, url, signed_hmac(hmac_event("t_1", amount="1234.50", currency="JOD")))
    assert (answer.status, answer.document["event_id"]) == (202, "t_1:COMPLETED")
    (payment,) = await rows(harness, "payments", 1, "namespace, payment_id, status, amount, captured, currency")
    assert payment == {
        "namespace": "default", "payment_id": "t_1", "status": "succeeded", "amount": 1234500, "captured": 1234500,
        "currency": "JOD",
    }  # fmt: skip


async def test_a_standard_webhook_signed_by_its_library(harness: Harness, session: aiohttp.ClientSession) -> None:
    url = await started(harness)
    body = json.dumps({"type": "invoice.paid", "timestamp": "2026-01-02T03:04:05Z", "data": {"id": "in_1"}})
    now = datetime.now(UTC)
    signature = standardwebhooks.Webhook(STANDARD_SECRET).sign("msg_1", now, body)
    headers = {
        "webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature,
        "Content-Type": "application/json",
    }  # fmt: skip
    signed = Signed("/webhooks/standard", body.encode(), headers, "msg_1")
    assert (await deliver(session, url, signed)).status == 202
    (event,) = await rows(harness, "events", 1, "namespace, event_id, type, resource, occurred_at")
    assert event == {
        "namespace": "standard", "event_id": "msg_1", "type": "invoice.paid", "resource": "in_1",
        "occurred_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }  # fmt: skip


async def test_two_sources_of_one_namespace_are_one(harness: Harness, session: aiohttp.ClientSession) -> None:
    url = await started(harness)
    event = stripe_event("evt_1", "pi_1")
    first = await deliver(session, url, signed_stripe(event))
    second = await deliver(session, url, signed_stripe(event, secret="whsec_of_the_old_endpoint", source="stripe-old"))
    assert (first.status, second.status) == (202, 200)
    await rows(harness, "events", 1)
    wrong = await deliver(session, url, signed_stripe(event, source="stripe-old"))
    assert wrong.status == 401


async def test_a_sender_that_waits_is_answered_after_the_commit(
    harness: Harness, session: aiohttp.ClientSession
) -> None:
    url = await started(harness)
    answer = await deliver(session, url, signed_stripe(stripe_event("evt_1", "pi_1")), Prefer="wait=2")
    assert (answer.status, answer.document["status"]) == (201, "committed")
    await rows(harness, "events", 1)
