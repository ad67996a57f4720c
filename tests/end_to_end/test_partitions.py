"""Events of several partitions, from the gateway's answer to the books, and what operators see of them."""

import asyncio
from collections import Counter
from typing import Any

from redis.asyncio import Redis

from consumers.stream_stats import read_all_stats
from contract.keys import COMMITTED, GROUP, Keys, partition_of, partition_of_entry
from providers.base import Delivery
from tests.support.consuming import POISON, QUICK, Workers, failing
from tests.support.events import contract_event
from tests.support.gateway import Running, entries, payment, running
from tests.support.servers import ValkeyServer
from tests.support.stream_states import say
from tests.support.wait import until

PARTITIONS = 8

DURABILITY_CHECK_S = 0.1


async def is_ready(gateway: Running) -> bool:
    return (await gateway.get("/readyz")).status == 200


async def shares(workers: Workers) -> list[int]:
    """Return how many workers have a lease of each partition."""
    each = [workers.keys.of(number) for number in range(PARTITIONS)]
    return [sum([await workers.redis.exists(keys.slot(slot)) for slot in range(1, 5)]) for keys in each]


async def is_drained(redis: Redis, keys: Keys) -> bool:
    stream = (await read_all_stats(redis, keys)).stream
    return stream is not None and stream.length == 0 and stream.entries_added > 0


async def test_a_gateway_with_more_partitions_than_are_read_refuses_until_a_worker_reads_them(
    workers: Workers, valkey: ValkeyServer, key_prefix: str
) -> None:
    limits: dict[str, Any] = {"partitions": PARTITIONS, "durability_check_s": DURABILITY_CHECK_S}
    async with running(valkey.url, key_prefix, **limits) as gateway:
        refused = await gateway.post(payment())
        assert refused.status == 503
        assert "workers read 1" in (await gateway.get("/readyz")).json()["reason"]
        async with workers.working(partitions=PARTITIONS):
            await until(lambda: is_ready(gateway), what="the gateway accepts events")
            answers = [await gateway.post(payment(number)) for number in range(60) for _ in range(2)]
            assert Counter(answer.status for answer in answers) == {202: 60, 200: 60}
            ids = {
                answer.json()["event_id"]: answer.json()["entry_id"] for answer in answers if answer.status == 202
            }  # fmt: skip
            expected = {f"tx_{number}:COMPLETED": partition_of("default", f"tx_{number}", 8) for number in range(60)}
            assert {event: partition_of_entry(entry_id) for event, entry_id in ids.items()} == expected
            assert set(expected.values()) == set(range(PARTITIONS))
            await until(lambda: is_drained(workers.redis, workers.keys), what="all partitions are drained")
            committed = await gateway.post(payment(1000), Prefer="wait=20")
            assert committed.status == 201
            keys = workers.keys.of(partition_of("default", "tx_7", 8))
            assert await workers.redis.get(keys.seen("default", "tx_7:COMPLETED")) == COMMITTED
    assert sorted(await workers.events()) == sorted([*expected, "tx_1000:COMPLETED"])
    assert await workers.findings() == []


async def test_workers_share_the_partitions_and_take_over_those_of_one_that_leaves(workers: Workers) -> None:
    async with workers.working(partitions=PARTITIONS, slot_ttl_ms=3000) as first:
        await until(lambda: _has(workers, [1] * 8), what="one worker works on all partitions")
        async with workers.working(slot_ttl_ms=3000):
            await until(lambda: _has_leases_in_sum(workers, 8), what="two workers have one lease of each partition")
            async with asyncio.timeout(20):
                await first.stop()
            await until(lambda: _has(workers, [1] * 8), what="the other one takes over")
        assert await shares(workers) == [0] * 8


async def _has(workers: Workers, expected: list[int]) -> bool:
    return await shares(workers) == expected


async def _has_leases_in_sum(workers: Workers, number: int) -> bool:
    members = await workers.redis.hlen(workers.keys.members)
    return members == 2 and sum(await shares(workers)) == number


async def test_the_backlog_limit_holds_for_all_partitions_together(
    workers: Workers, valkey: ValkeyServer, key_prefix: str
) -> None:
    await workers.redis.hset(workers.keys.partitions, "read", str(PARTITIONS))
    limits: dict[str, Any] = {"partitions": PARTITIONS, "backlog_limit": 20, "durability_check_s": DURABILITY_CHECK_S}
    async with running(valkey.url, key_prefix, **limits) as gateway:
        answers = [(await gateway.post(payment(number))).status for number in range(30)]
    assert answers == [202] * 20 + [429] * 10


async def test_operators_see_entries_of_every_partition_and_replay_a_dead_one_where_it_was(
    workers: Workers, valkey: ValkeyServer, key_prefix: str
) -> None:
    await workers.redis.hset(workers.keys.partitions, "read", str(PARTITIONS))
    async with running(valkey.url, key_prefix, partitions=PARTITIONS) as gateway:
        entry_ids = [(await gateway.post(payment(number))).json()["entry_id"] for number in range(1, 21)]
    settings = workers.settings.model_copy(update=QUICK)
    for number in range(PARTITIONS):
        events = workers.keys.of(number).events
        await workers.redis.xgroup_create(events, GROUP, "0", mkstream=True)
        await workers.redis.xreadgroup(GROUP, "worker-9", {events: ">"}, count=2)
    listed = (await say(settings, "pending", "--json")).json["entries"]
    pending = [entry["entry_id"] for entry in listed]
    assert pending == [entry_id for entry_id in entry_ids if entry_id in pending]
    assert len({partition_of_entry(entry_id) for entry_id in pending}) == PARTITIONS
    assert (await say(settings, "status", "--json")).json["redis"]["stream"]["backlog"] == 20
    elsewhere = next(entry for entry in listed if partition_of_entry(entry["entry_id"]))
    found = (await say(settings, "why", elsewhere["event_id"], "--json")).json
    assert [entry["entry_id"] for entry in found["events"][0]["entries"]] == [elsewhere["entry_id"]]
    assert len((await say(settings, "events", "--json")).json["events"]) == 20
    async with workers.working():
        await until(lambda: is_drained(workers.redis, workers.keys), what="all partitions are drained")
    assert await workers.findings() == []


async def test_a_dead_letter_is_replayed_in_its_partition(
    workers: Workers, valkey: ValkeyServer, key_prefix: str
) -> None:
    place = next(number for number in range(100) if partition_of("stripe", f"pi_{number}", PARTITIONS) == 5)
    await workers.redis.hset(workers.keys.partitions, "read", str(PARTITIONS))
    async with running(valkey.url, key_prefix, partitions=PARTITIONS) as gateway:
        event = contract_event(POISON, f"pi_{place}")
        accepted = await gateway.gateway.publisher.publish(Delivery(event, 1))
    async with workers.working(failing(ValueError("no")), max_attempts=1):
        await until(lambda: _is_dead(workers), what="it is a dead letter")
    assert (await say(workers.settings, "replay", accepted.entry_id)).code == 0
    ((again, _),) = await entries(workers.redis, workers.keys.of(5))
    assert partition_of_entry(again.decode()) == 5
    assert again.decode() != accepted.entry_id
    async with workers.working():
        await until(lambda: is_drained(workers.redis, workers.keys), what="all partitions are drained")
    assert await workers.events() == [POISON]
    assert await workers.findings() == []


async def _is_dead(workers: Workers) -> bool:
    return len(await workers.dead()) == 1
