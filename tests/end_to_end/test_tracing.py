"""Spans, as a receiver gets them from real programs; and that no receiver is ever in the way of work."""

import json
import signal
from typing import Any

import aiohttp
import pytest

from operations.event_content import read_content
from operations.why.model import Subject
from tests.support.events import Signed, hmac_event, signed_hmac, signed_stripe, stripe_event
from tests.support.harness import WORKER_ENV, Harness
from tests.support.load import deliver
from tests.support.otlp import SEND_LATE, Behaviour, OtlpReceiver, receiver
from tests.support.processes import READY_TIMEOUT_S
from tests.support.wait import until

PROVIDER_TRACE, PROVIDER_SPAN = "a" * 32, "b" * 16
PROVIDERS = f"00-{PROVIDER_TRACE}-{PROVIDER_SPAN}-01"

SHOP = """
from consumers.handlers import Connection, Event, Handlers

handlers = Handlers()


@handlers.on("stripe", "payment_intent.succeeded")
async def ship(connection: Connection, event: Event) -> None:
    await connection.execute("VALUES (1)")
"""

FLUSH_AND_MORE_S = 15.0

SERVER = "POST /webhooks/{source}"


async def applied(harness: Harness, count: int) -> None:
    await until(lambda: harness.has_applied(count), timeout_s=READY_TIMEOUT_S, what=f"{count} events are applied")
    await until(harness.is_empty, what="the stream is drained")


async def stop_all(harness: Harness) -> None:
    """As an operator does; every program ends well."""
    for worker in list(harness.workers):
        await harness.stop_worker(worker)
    for gateway in harness.gateways:
        assert await gateway.stopped() == 0


async def killed_while_it_works(harness: Harness, session: aiohttp.ClientSession, env: dict[str, str]) -> Signed:
    """Deliver an event with the provider's context, which a worker claims, and dies."""
    await harness.add_gateways(1, env)
    victim = harness.programs.start(
        "tests.support.worker_at", harness.servers_env | WORKER_ENV | env, ("SIGKILL", "claimed")
    )
    signed = signed_stripe(stripe_event("evt_1", "pi_1"))
    answer = await deliver(session, harness.urls[0], signed, traceparent=PROVIDERS)
    assert answer.status == 202
    await until(lambda: not victim.is_running, timeout_s=READY_TIMEOUT_S, what="the worker is dead")
    assert victim.wait() == -signal.SIGKILL
    return signed


async def test_one_trace_leads_from_the_request_through_a_workers_death_to_the_acknowledgement(
    harness: Harness, session: aiohttp.ClientSession
) -> None:
    async with receiver() as otlp:
        (harness.programs.folder / "shop.py").write_text(SHOP)
        env = otlp.env | SEND_LATE | {"HANDLERS": "shop:handlers", "HANDLERS_FOLDER": "."}
        await killed_while_it_works(harness, session, env)
        harness.start_worker(env)
        await applied(harness, 1)
        async with harness.database() as connection:
            headers = json.loads(await connection.fetchval("SELECT headers FROM payloads"))
            content = await read_content(connection, Subject("stripe", "evt_1"))
            entry_id = await connection.fetchval("SELECT entry_id FROM events")
        await stop_all(harness)
    server, event = otlp.one(SERVER), otlp.one("event stripe")
    batch, handler = otlp.one(f"process {harness.keys.events}"), otlp.one("handler ship")
    send = otlp.one(f"send {harness.keys.events}")
    assert {span.trace_id for span in otlp.spans} == {server.trace_id}
    assert content.trace_id == server.trace_id, "what the console's page shows"
    assert headers["traceparent"].startswith(f"00-{server.trace_id}-{server.span_id}-")

    assert (server.kind, server.parent, server.links) == ("SERVER", "", [(PROVIDER_TRACE, PROVIDER_SPAN)])
    assert server.trace_id != PROVIDER_TRACE
    assert server.attributes == {
        "http.request.method": "POST", "http.route": "/webhooks/{source}", "url.path": "/webhooks/stripe",
        "url.scheme": "http", "webhook.source": "stripe", "http.response.status_code": 202,
    }  # fmt: skip
    assert (send.kind, send.parent, send.links) == ("CLIENT", server.span_id, [(server.trace_id, server.span_id)])
    assert (batch.kind, batch.links) == ("CONSUMER", [(server.trace_id, server.span_id)])
    assert batch.attributes["messaging.batch.message_count"] == 1

    assert (event.kind, event.parent, event.events) == ("CONSUMER", server.span_id, ["claimed", "committed", "acked"])
    assert server.start_ns <= event.start_ns <= server.end_ns < batch.start_ns < event.end_ns
    assert {
        "messaging.system": "redis", "messaging.consumer.group.name": "payments", "messaging.message.id": entry_id,
        "messaging.destination.name": harness.keys.events, "webhook.event.id": "evt_1", "webhook.attempt": 2,
        "webhook.outcome": "applied",
    }.items() <= event.attributes.items()  # fmt: skip
    assert (handler.parent, handler.kind, handler.is_error) == (event.span_id, "INTERNAL", False)
    assert {span.service for span in otlp.spans} == {"payment-webhooks-gateway", "payment-webhooks-consumers"}


async def test_nothing_is_sent_and_nothing_is_stored_where_tracing_is_off(
    harness: Harness, session: aiohttp.ClientSession
) -> None:
    async with receiver() as otlp:
        env = otlp.env | {"OTEL_SDK_DISABLED": "true"}
        await harness.add_workers(1, env)
        await harness.add_gateways(1, env)
        signed = signed_stripe(stripe_event("evt_1", "pi_1"))
        assert (await deliver(session, harness.urls[0], signed, traceparent=PROVIDERS)).status == 202
        await applied(harness, 1)
        async with harness.database() as connection:
            assert "traceparent" not in json.loads(await connection.fetchval("SELECT headers FROM payloads"))
        await stop_all(harness)
        assert otlp.requests == 0


@pytest.mark.parametrize("behaviour", ["hangs", "refuses"])
async def test_a_receiver_that_does_not_work_changes_nothing(
    harness: Harness, session: aiohttp.ClientSession, behaviour: Behaviour
) -> None:
    events = 30
    async with receiver(behaviour) as otlp:
        env = otlp.env | {"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "8"}
        env |= {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
        await harness.add_workers(1, env)
        await harness.add_gateways(1, env)
        for number in range(events):
            answer = await deliver(session, harness.urls[0], signed_hmac(hmac_event(f"tx_{number}")))
            assert answer.status == 202
        await applied(harness, events)
        await until(lambda: otlp.requests >= 2, what="gateway and worker have tried to send spans")
        await stop_all(harness)
    assert otlp.spans == []
    for program in harness.programs.children:
        assert "Traceback" not in program.log
        assert program.log.count("spans cannot be sent") <= 2


async def test_a_line_of_the_log_has_an_events_ids_and_nothing_of_its_body(
    harness: Harness, session: aiohttp.ClientSession
) -> None:
    async with receiver() as otlp:
        env = otlp.env | SEND_LATE | {"EVENT_LOG": "true", "LOG_LEVEL": "error"}
        await harness.add_workers(1, env | {"CONSUMERS_LOG_LEVEL": "debug"})
        await harness.add_gateways(1, env | {"GATEWAY_LOG_LEVEL": "debug"})
        secretive = stripe_event("evt_1", "pi_1", fields={"receipt_email": "jane@example.com", "name": "Jane Doe"})
        signed = signed_stripe(secretive)
        assert (await deliver(session, harness.urls[0], signed)).status == 202
        await applied(harness, 1)
        assert (await deliver(session, harness.urls[0], signed)).status == 200
        forged = signed_stripe(secretive, secret="whsec_another")
        assert (await deliver(session, harness.urls[0], forged)).status == 401
        await stop_all(harness)
    accepted, refused = otlp.named(SERVER)[0], otlp.named(SERVER)[-1]
    assert refused.attributes["webhook.refused"] == "signature_mismatch"
    lines = {line["event"]: line for line in all_lines(harness, otlp)}
    for what in ("event accepted", "event applied"):
        assert (lines[what]["event_id"], lines[what]["source"]) == ("evt_1", "stripe")
        assert lines[what]["trace_id"] == accepted.trace_id
        assert 0 < lines[what]["seconds"] < FLUSH_AND_MORE_S
    assert lines["event was here before"]["event_id"] == "evt_1"
    assert lines["request refused"]["trace_id"] == refused.trace_id


def all_lines(harness: Harness, otlp: OtlpReceiver) -> list[dict[str, Any]]:
    """Return all lines of all programs; no line and no span has a secret, or anything personal."""
    logs = [program.log for program in harness.programs.children]
    for text in (*logs, repr(otlp.spans)):
        assert "jane" not in text.lower()
        assert "whsec" not in text
        assert "receipt_email" not in text
    return [json.loads(line) for log in logs for line in log.splitlines()]
