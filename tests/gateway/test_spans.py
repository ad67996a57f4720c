"""The spans of requests and of what they publish."""

import asyncio

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from redis.asyncio import Redis

from contract.event import from_fields
from contract.keys import Keys
from gateway.spans import ROUTE
from runtime.tracing import UNSAMPLED
from tests.support.gateway import entries, payment, running
from tests.support.servers import ValkeyServer
from tests.support.spans import Recorded, facts

SERVER = f"POST {ROUTE}"
PROVIDERS = f"00-{'a' * 32}-{'b' * 16}-01"
REFUSALS = 3


async def test_requests_of_one_exchange_have_a_span_each_and_its_span_links_them(
    valkey: ValkeyServer, key_prefix: str, keys: Keys
) -> None:
    recorded = Recorded()
    async with running(valkey.url, key_prefix, tracing=recorded.tracing, publish_exchanges_max=1) as gateway:
        answers = await asyncio.gather(*(gateway.post(payment(number)) for number in range(20)))
    assert {answer.status for answer in answers} == {202}
    servers, sends = recorded.named(SERVER), recorded.named(f"send {keys.events}")
    assert len(servers) == 20
    assert sum(int(str(facts(send)["messaging.batch.message_count"])) for send in sends) == 20
    linked = {link.context.span_id for send in sends for link in send.links}
    assert linked == {server.context.span_id for server in servers}
    assert {send.kind for send in sends} == {SpanKind.CLIENT}


@pytest.mark.parametrize(
    "recorded", [Recorded(ALWAYS_OFF), Recorded(share=0.0)], ids=["the sampler", "before any work"]
)
async def test_an_outsider_chooses_neither_trace_nor_sampling(
    valkey: ValkeyServer, key_prefix: str, keys: Keys, redis: Redis, recorded: Recorded
) -> None:
    async with running(valkey.url, key_prefix, tracing=recorded.tracing) as gateway:
        assert (await gateway.post(payment(), traceparent=PROVIDERS)).status == 202
    assert recorded.names == []
    [(_, fields)] = await entries(redis, keys)
    event = from_fields(fields)
    assert event.traceparent == UNSAMPLED
    assert "traceparent" not in event.headers


async def test_refused_requests_have_a_span_only_where_they_are_logged(valkey: ValkeyServer, key_prefix: str) -> None:
    recorded = Recorded()
    async with running(
        valkey.url, key_prefix, tracing=recorded.tracing, refusals_logged_per_minute=REFUSALS
    ) as gateway:
        forged = payment()
        for _ in range(3 * REFUSALS):
            answer = await gateway.post(forged, **{"X-Signature": "0" * 64}, traceparent=PROVIDERS)
            assert answer.status == 401
    spans = recorded.named(SERVER)
    assert REFUSALS <= len(spans) <= 2 * REFUSALS  # a minute may have begun meanwhile
    for span in spans:
        assert facts(span)["webhook.refused"] == "signature_mismatch"
        assert (span.links, span.status.is_ok) == ((), True)


async def test_an_answer_of_503_is_an_error_of_ours(
    valkey: ValkeyServer, key_prefix: str, keys: Keys, redis: Redis
) -> None:
    recorded = Recorded()
    await redis.set(keys.events, "of another type")
    async with running(valkey.url, key_prefix, tracing=recorded.tracing) as gateway:
        assert (await gateway.post(payment())).status == 503
    (server,), (send,) = recorded.named(SERVER), recorded.named(f"send {keys.events}")
    assert (facts(server)["error.type"], server.status.is_ok) == ("unavailable", False)
    assert (facts(send)["error.type"], send.status.is_ok) == ("RedisUnavailableError", False)
