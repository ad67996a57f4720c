"""`Prefer: wait=N`: 201 only after the commit, whatever happens to the event, to Redis, or to the gateway."""

import asyncio
from collections.abc import Mapping

import pytest
from redis.asyncio import Redis

from contract.keys import COMMITTED, Keys
from gateway import commit_waiter
from gateway.commit_waiter import requested_wait_s
from providers.base import Headers
from tests.support.gateway import Answer, Running, payment, request, running, sources
from tests.support.multi_event import KEY, multi_event
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

LONG = {"Prefer": "wait=20"}
"""Longer than a test waits for anything, so that an earlier answer is not caused by a timeout."""


@pytest.mark.parametrize(
    ("lines", "wait_s"),
    [
        ([], 0), ([""], 0), (["wait"], 0), (["wait="], 0), (["wait=-1"], 0), (["wait=soon"], 0), (["wait=0"], 0),
        (["await=3"], 0), (["wait=3s"], 0), (["respond-async"], 0),
        (["wait=3"], 3), (["WAIT=3"], 3), (['wait="3"'], 3), (["wait = 3"], 3), (["respond-async, wait=3"], 3),
        (["wait=3; x=y"], 3), (["respond-async", "wait=3"], 3),
        (["wait=31"], 30), (["wait=99999999999999999999"], 30),
    ],
)  # fmt: skip
def test_the_requested_wait_is_read_and_limited(lines: list[str], wait_s: float) -> None:
    assert requested_wait_s(Headers([(b"Prefer", line.encode()) for line in lines]), 30) == wait_s


async def published(redis: Redis, keys: Keys, number: int = 1) -> str:
    """Wait until `payment(number)` is in the stream; return its marker."""
    marker = keys.seen("default", f"tx_{number}:COMPLETED")
    await until(lambda: redis.exists(marker), what="the event is published")
    return marker


async def commit(redis: Redis, marker: str) -> None:
    await redis.set(marker, COMMITTED, keepttl=True)


def posting(gateway: Running, headers: Mapping[str, str] = LONG) -> "asyncio.Task[Answer]":
    return asyncio.create_task(gateway.post(payment(), **headers))


async def test_the_answer_says_which_wait_was_applied(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    async with running(valkey.url, key_prefix, prefer_wait_s_max=15) as gateway:
        waiting = posting(gateway)
        await commit(redis, await published(redis, keys))
        answer = await waiting
    assert (answer.status, answer.headers["preference-applied"]) == (201, "wait=15")


async def test_200_at_once_where_it_was_committed_before(gateway: Running, redis: Redis, keys: Keys) -> None:
    await commit(redis, keys.seen("default", "tx_1:COMPLETED"))
    answer = await gateway.post(payment(), **LONG)
    assert (answer.status, answer.json()) == (200, {"status": "duplicate", "event_id": "tx_1:COMPLETED"})
    assert "preference-applied" not in answer.headers


async def test_a_redelivery_waits_for_the_commit_as_well(gateway: Running, redis: Redis, keys: Keys) -> None:
    first = await gateway.post(payment())
    again, and_again = posting(gateway), posting(gateway)
    await until(lambda: gateway.gateway.commits.waiters == [2], what="both wait")
    await commit(redis, await published(redis, keys))
    for answer in (await again, await and_again):
        assert answer.status == 201
        assert answer.json() == first.json() | {"status": "committed"}


async def test_a_redelivery_is_a_duplicate_where_the_commit_does_not_come(
    valkey: ValkeyServer, key_prefix: str
) -> None:
    async with running(valkey.url, key_prefix, prefer_wait_s_max=0.05) as gateway:
        assert (await gateway.post(payment())).status == 202
        answer = await gateway.post(payment(), **LONG)
    assert (answer.status, answer.json()["status"]) == (200, "duplicate")


async def test_several_events_are_committed_when_the_last_one_is(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    async with running(valkey.url, key_prefix, providers=sources(several=multi_event())) as gateway:
        await commit(redis, keys.seen("several", "a"))
        waiting = asyncio.create_task(gateway.exchange(request("/webhooks/several", b'["a", "b", "c"]', KEY | LONG)))
        await until(lambda: redis.exists(keys.seen("several", "c")), what="the events are published")
        await commit(redis, keys.seen("several", "b"))
        await until(lambda: len(gateway.gateway.commits.waiters) == 1, what="one is committed")
        assert not waiting.done()
        await commit(redis, keys.seen("several", "c"))
        answer = await waiting
    assert (answer.status, answer.json()["status"]) == (201, "committed")
    assert [each["status"] for each in answer.json()["events"]] == ["duplicate", "committed", "committed"]


@pytest.mark.parametrize("marker_becomes", [None, b"1-1"])
async def test_never_201_for_a_marker_that_is_lost_or_overwritten(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys, marker_becomes: bytes | None
) -> None:
    async with running(valkey.url, key_prefix, prefer_wait_s_max=0.2) as gateway:
        waiting = posting(gateway)
        marker = await published(redis, keys)
        await (redis.delete(marker) if marker_becomes is None else redis.set(marker, marker_becomes))
        assert (await waiting).status == 202


async def test_202_when_redis_is_gone_while_somebody_waits(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with (
        TcpProxy(private_valkey.port) as proxy,
        Redis.from_url(private_valkey.url, protocol=3) as redis,
        running(proxy.url(private_valkey.url), key_prefix) as gateway,
    ):
        waiting = posting(gateway)
        await published(redis, Keys(key_prefix))
        await until(lambda: gateway.gateway.commit_reader.is_connected, what="it looks for the commit")
        await proxy.refuse()
        proxy.cut()
        assert (await waiting).status == 202


async def test_202_at_once_when_the_gateway_stops(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    async with running(valkey.url, key_prefix) as gateway:
        waiting = posting(gateway)
        await published(redis, keys)
        await until(lambda: gateway.gateway.commits.waiters, what="somebody waits")
    assert (await waiting).status == 202


async def test_202_at_once_where_too_many_wait(
    gateway: Running, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_waiter, "WAITERS_MAX", 1)
    first = posting(gateway)
    marker = await published(redis, keys)
    await until(lambda: gateway.gateway.commits.waiters, what="somebody waits")
    assert (await gateway.post(payment(2), **LONG)).status == 202
    await commit(redis, marker)
    assert (await first).status == 201


async def test_redis_is_not_polled_when_nobody_waits(valkey: ValkeyServer, key_prefix: str) -> None:
    """No read of a marker, no second connection, no task; and polling ends with the last request that waits."""
    async with running(valkey.url, key_prefix, prefer_wait_s_max=0.05) as gateway:
        commits = gateway.gateway.commits
        assert (await gateway.post(payment(1))).status == 202
        assert not gateway.gateway.commit_reader.is_connected
        assert not commits.is_polling
        assert (await gateway.post(payment(2), **LONG)).status == 202
        await until(lambda: not commits.is_polling, what="nobody looks any more")
        assert not commits.waiters
