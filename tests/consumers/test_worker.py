"""Batches on real servers: new events, copies, busy resources, and entries of dead workers."""

from typing import Any

import pytest

from contract.event import Event, to_entry
from contract.keys import COMMITTED, GROUP
from tests.support.consuming import QUICK, Workers
from tests.support.events import contract_event
from tests.support.wait import until

PAYMENTS = "SELECT payment_id, status, amount, captured, currency FROM payments ORDER BY payment_id"


# New events, and copies of known ones.


async def test_a_batch_of_new_events_becomes_rows(workers: Workers) -> None:
    entry_ids = await workers.publish(30, first=1)
    async with workers.working():
        await workers.drained()
    rows = await workers.rows("SELECT entry_id, event_id FROM events")
    assert sorted(rows) == sorted((entry_id, f"evt_{i}") for i, entry_id in enumerate(entry_ids, 1))
    assert len(await workers.rows(PAYMENTS)) == 30
    assert (await workers.rows(PAYMENTS))[0] == ("pi_1", "succeeded", 1999, 1999, "EUR")
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_7")) == COMMITTED
    assert 0 < await workers.redis.ttl(workers.keys.seen("stripe", "evt_7")) <= workers.settings.committed_ttl_s
    await workers.assert_all_acked()


async def test_the_exact_bytes_are_kept(workers: Workers) -> None:
    body = b'{"id":"evt_1", "odd":  "\xff\x00 bytes"}'
    await workers.stream.publish(contract_event(body=body, type="thing.unknown", headers={"a": "b"}))
    async with workers.working():
        await workers.drained()
    assert await workers.row("SELECT body, headers FROM payloads") == (body, '{"a": "b"}')
    assert await workers.rows(PAYMENTS) == []


@pytest.mark.parametrize("batch_size", [1, 500])
async def test_a_copy_is_recorded_and_transfers_nothing(workers: Workers, batch_size: int) -> None:
    for _ in range(3):
        await workers.stream.publish(contract_event())
    async with workers.working(batch_size=batch_size):
        await workers.drained()
    assert await workers.events() == ["evt_1"]
    assert len(await workers.rows("SELECT FROM duplicates")) == 2
    await workers.assert_all_acked()


async def test_copies_are_recognised_across_workers(workers: Workers) -> None:
    for n in range(200):
        await workers.stream.publish(contract_event(f"evt_{n % 20}", f"pi_{n % 5}"))
    async with workers.working(batch_size=7), workers.working(batch_size=11), workers.working(batch_size=3):
        await workers.drained()
    assert len(await workers.events()) == 20
    assert len(await workers.rows("SELECT FROM duplicates")) == 180
    await workers.assert_all_acked()


async def test_an_entry_read_again_after_its_own_commit_is_no_duplicate(workers: Workers) -> None:
    events = [contract_event(f"evt_{i}", f"pi_{i}") for i in range(3)]
    async with workers.working():
        for event in events:
            await workers.stream.publish(event)
        await workers.drained()
    for entry_id, event in zip(workers.stream.ids, events, strict=True):
        await add_again(workers, entry_id, event)
    async with workers.working():
        await workers.drained()
    assert await workers.rows("SELECT FROM duplicates") == []


async def add_again(workers: Workers, entry_id: str, event: Event) -> None:
    """Add the same entry again, as it is read again after the group was lost."""
    fields = to_entry(event)
    await workers.redis.delete(workers.keys.events) if entry_id == workers.stream.ids[0] else None
    await workers.redis.xadd(workers.keys.events, dict(zip(fields[::2], fields[1::2], strict=True)), id=entry_id)


# Busy resources, and entries of other workers.


async def test_waiting_for_a_busy_resource_counts_no_attempt(workers: Workers) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    entry_id = await workers.stream.publish(busy)
    await workers.publish(5, first=1)
    async with workers.working():
        await until(lambda: workers.has_events(5), what="the entries of free resources are applied")
        await until(lambda: is_renewed(workers, entry_id), what="the delayed entry is renewed")
        assert await workers.pending() == {entry_id: ("worker-1", 1)}
        await workers.redis.delete(workers.keys.lock("stripe", "pi_busy"))
        await workers.drained()
    assert await workers.dead() == []
    await workers.assert_all_acked()


async def is_renewed(workers: Workers, entry_id: str) -> bool:
    """Return whether it was read longer ago than the claim idle time, but has been idle for less."""
    (row,) = await workers.redis.xpending_range(workers.keys.events, GROUP, entry_id, entry_id, 1)
    now_s, micros = await workers.redis.time()
    read_ms_ago = now_s * 1000 + micros // 1000 - int(entry_id.partition("-")[0])
    return bool(read_ms_ago > QUICK["claim_idle_ms"] and row["time_since_delivered"] < QUICK["claim_idle_ms"])


async def test_a_dead_worker_s_entries_are_applied_and_its_name_is_removed(workers: Workers) -> None:
    await workers.publish(7, first=1)
    await workers.stream.read("worker-5", 7)
    assert await workers.consumers() == ["worker-5"]
    async with workers.working():
        await workers.drained()
        await until(lambda: has_names(workers, ["worker-1"]), what="the dead worker's name is removed")
    assert await workers.consumers() == []
    assert len(await workers.events()) == 7
    await workers.assert_all_acked()


async def has_names(workers: Workers, names: list[str]) -> bool:
    return await workers.consumers() == names


@pytest.mark.parametrize(
    "name", ["worker-\u00b2", "7", "worker-", "worker-007", b"\xff\xfe", "worker-99999999999999999999"]
)
async def test_names_that_no_worker_has_are_left_alone(workers: Workers, name: Any) -> None:
    await workers.publish(1, first=1)
    await workers.redis.xgroup_create(workers.keys.events, GROUP, "0")
    await workers.redis.xgroup_createconsumer(workers.keys.events, GROUP, name)
    await workers.redis.xgroup_createconsumer(workers.keys.events, GROUP, "worker-3")
    async with workers.working():
        await workers.drained()
        await until(lambda: lacks_name(workers, b"worker-3"), what="a dead worker's name is removed")
    names = [c["name"] for c in await workers.redis.xinfo_consumers(workers.keys.events, GROUP)]
    assert names == [name if isinstance(name, bytes) else name.encode()]


async def lacks_name(workers: Workers, name: bytes) -> bool:
    return name not in [c["name"] for c in await workers.redis.xinfo_consumers(workers.keys.events, GROUP)]


async def test_a_pending_entry_that_is_gone_from_the_stream_is_counted_and_skipped(workers: Workers) -> None:
    first, gone, last = await workers.publish(3, first=1)
    await workers.stream.read("worker-5")
    await workers.redis.xdel(workers.keys.events, gone)
    async with workers.working() as running:
        await workers.drained()
        await until(lambda: b"entries_gone_total 1.0" in running.metrics.render(), what="the incident is counted")
    assert await workers.rows("SELECT entry_id FROM events ORDER BY entry_id") == [(first,), (last,)]
    assert await workers.pending() == {}
