"""Each script keeps the contract at its top: reading, locks, heartbeat, reclaiming, attempts."""

import pytest
from redis.asyncio import Redis

from consumers.scripts import Scripts
from contract.keys import GROUP, Keys
from tests.support.pending_list import QUARANTINE_AFTER, PendingList, reclaim

FAR_MS = 60_000
LOCKS = ("lock-a", "lock-b", "lock-c")


# Reading.


async def test_reading_ends_with_the_page_that_reaches_the_bytes(scripts: Scripts, pel: PendingList) -> None:
    entries = await pel.add(7)

    async def read(count: int, bytes_max: int) -> list[str]:
        read = await scripts.read("worker-1", count=count, page=2, bytes_max=bytes_max)
        return [entry_id.decode() for entry_id, _ in read]

    assert await read(7, 1) == entries[:2]
    assert await read(3, 1_000_000) == entries[2:5]
    assert await read(7, 1_000_000) == entries[5:]
    assert await read(7, 1_000_000) == []
    assert {(consumer, deliveries) for consumer, deliveries, _ in (await pel.pending()).values()} == {("worker-1", 1)}


# Locks.


async def test_each_lock_is_acquired_independently(redis: Redis, scripts: Scripts, keys: Keys) -> None:
    names = [keys.lock("n", name) for name in LOCKS]
    assert await scripts.acquire_locks(names[:2], "worker-1:a", FAR_MS) == [True, True]
    assert await scripts.acquire_locks(names, "worker-2:b", FAR_MS) == [False, False, True]
    assert await scripts.acquire_locks(names, "worker-1:a", FAR_MS) == [True, True, False]
    assert 0 < await redis.pttl(names[0]) <= FAR_MS


async def test_a_lock_acquired_again_lives_as_long_as_a_new_one(redis: Redis, scripts: Scripts, keys: Keys) -> None:
    name = keys.lock("n", "r")
    await scripts.acquire_locks([name], "a", 500)
    await scripts.acquire_locks([name], "a", FAR_MS)
    assert await redis.pttl(name) > 500


async def test_only_the_owner_releases(redis: Redis, scripts: Scripts, keys: Keys) -> None:
    names = [keys.lock("n", name) for name in LOCKS]
    await scripts.acquire_locks(names[:1], "worker-1:a", FAR_MS)
    await scripts.acquire_locks(names[1:], "worker-2:b", FAR_MS)
    assert await scripts.release_locks(names, "worker-1:a") == 1
    assert [await redis.get(name) for name in names] == [None, b"worker-2:b", b"worker-2:b"]
    assert await scripts.release_locks(names, "worker-1:a") == 0


# The heartbeat.


async def beat(
    scripts: Scripts, entry_ids: list[str], locks: list[str], token: str = "worker-1:a"
) -> tuple[bool, int, int]:
    return await scripts.heartbeat(
        1, "worker-1", token, slot_ttl_ms=FAR_MS, lock_ttl_ms=FAR_MS, locks=locks, entry_ids=entry_ids
    )


async def test_a_heartbeat_renews_lease_locks_and_entries(
    redis: Redis, scripts: Scripts, keys: Keys, pel: PendingList
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await pel.age("worker-1", entry, idle_ms=5000, deliveries=4)
    lock = keys.lock("n", "r")
    await scripts.acquire_locks([lock, keys.slot(1)], "worker-1:a", 1000)
    assert await beat(scripts, [entry], [lock]) == (True, 0, 0)
    assert min(await redis.pttl(lock), await redis.pttl(keys.slot(1))) > 1000
    consumer, deliveries, idle_ms = (await pel.pending())[entry]
    assert (consumer, deliveries) == ("worker-1", 4)
    assert idle_ms < 5000


async def test_a_heartbeat_reports_losses_and_takes_nothing_back(
    redis: Redis, scripts: Scripts, keys: Keys, pel: PendingList
) -> None:
    kept, reclaimed, acked = await pel.add(3)
    await pel.read("worker-1", 3)
    await pel.age("worker-2", reclaimed, idle_ms=5000, deliveries=2)
    await redis.xack(keys.events, GROUP, acked)
    mine, others, gone = (keys.lock("n", name) for name in LOCKS)
    await scripts.acquire_locks([mine, keys.slot(1)], "worker-1:a", FAR_MS)
    await scripts.acquire_locks([others], "worker-2:b", 1000)
    assert await beat(scripts, [kept, reclaimed, acked], [mine, others, gone]) == (True, 2, 2)
    pending = await pel.pending()
    assert pending.keys() == {kept, reclaimed}
    assert pending[reclaimed][:2] == ("worker-2", 2)
    assert pending[reclaimed][2] >= 5000, "the new owner's entry was touched"
    assert 0 < await redis.pttl(others) <= 1000
    assert await redis.exists(gone) == 0


@pytest.mark.parametrize("owner", ["worker-1:of another process", None])
async def test_a_worker_without_its_lease_renews_no_entry_of_its_name(
    redis: Redis, scripts: Scripts, keys: Keys, pel: PendingList, owner: str | None
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await pel.age("worker-1", entry, idle_ms=5000)
    if owner:
        await scripts.acquire_locks([keys.slot(1)], owner, 1000)
    assert await beat(scripts, [entry], []) == (False, 0, 1)
    assert (await pel.pending())[entry][2] >= 5000
    assert await redis.pttl(keys.slot(1)) <= 1000


# Reclaiming the entries of dead workers.


async def test_reclaim_leaves_fresh_entries_alone(scripts: Scripts, pel: PendingList) -> None:
    await pel.add(3)
    await pel.read("worker-1", 3)
    assert await reclaim(scripts) == ("-", [], [])
    assert {owner for owner, _, _ in (await pel.pending()).values()} == {"worker-1"}


async def test_reclaim_finds_old_entries_behind_many_fresh_ones(scripts: Scripts, pel: PendingList) -> None:
    entry_ids = await pel.add(1500)
    await pel.read("worker-1", 1500)
    old = entry_ids[1200::100]
    for entry_id in old:
        await pel.age("worker-1", entry_id, idle_ms=5000)
    cursor, found = "-", []
    for _ in range(len(old) + 1):
        cursor, taken, gone = await reclaim(scripts, cursor, count=2)
        found += [(entry_id.decode(), begun) for entry_id, _, begun, _, _ in taken]
        assert gone == []
        if cursor == "-":
            break
    assert found == [(entry_id, 0) for entry_id in old]
    assert cursor == "-"
    assert {(await pel.pending())[entry_id][:2] for entry_id in old} == {("worker-9", 2)}


async def test_reclaim_returns_the_fields_unchanged(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    await redis.xadd(keys.events, {b"body": b"\xff\x00", b"\xfe": b""})
    (entry,) = await pel.read("worker-1", 1)
    await pel.age("worker-1", entry, idle_ms=5000)
    await redis.hset(keys.failures, entry, "why")
    _, taken, _ = await reclaim(scripts)
    assert taken == [[entry.encode(), b"worker-1", 0, [b"body", b"\xff\x00", b"\xfe", b""], b"why"]]


async def test_a_possible_poison_message_is_reclaimed_alone(scripts: Scripts, pel: PendingList) -> None:
    a, poison, b, c = await pel.add(4)
    await pel.read("worker-1", 4)
    for entry in (a, poison, b, c):
        await pel.age("worker-2" if entry == poison else "worker-1", entry, idle_ms=5000, deliveries=99)
    await pel.begun("worker-1", a, b, c, attempt=QUARANTINE_AFTER)
    await pel.begun("worker-2", poison, attempt=QUARANTINE_AFTER + 1)
    batches, cursor = [], "-"
    while True:
        cursor, taken, _ = await reclaim(scripts, cursor)
        batches.append([(entry_id.decode(), begun) for entry_id, _, begun, _, _ in taken])
        if cursor == "-":
            break
    assert batches == [
        [(a, QUARANTINE_AFTER)],
        [(poison, QUARANTINE_AFTER + 1)],
        [(b, QUARANTINE_AFTER), (c, QUARANTINE_AFTER)],
    ]


async def test_entries_gone_from_the_stream_are_reported_and_dropped(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    a, gone, poison = await pel.add(3)
    await pel.read("worker-1", 3)
    for entry in (a, gone, poison):
        await pel.age("worker-1", entry, idle_ms=5000)
    await pel.begun("worker-1", poison, attempt=QUARANTINE_AFTER + 1)
    await redis.xdel(keys.events, gone, poison)
    cursor, taken, reported = await reclaim(scripts)
    assert [each[0].decode() for each in taken] == [a]
    reported += (await reclaim(scripts, cursor))[2]
    assert reported == [gone.encode(), poison.encode()]
    assert (await pel.pending()).keys() == {a}


# Attempts.


async def test_an_attempt_sets_the_delivery_count(redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList) -> None:
    mine, others, acked = await pel.add(3)
    await pel.read("worker-1", 3)
    await pel.age("worker-2", others, idle_ms=5000, deliveries=6)
    await redis.xack(keys.events, GROUP, acked)
    kept = await scripts.count_attempt("worker-1", [(mine, 5), (others, 5), (acked, 5), ("1-1", 2)])
    assert kept == [True, False, True, True]
    pending = await pel.pending()
    assert pending.keys() == {mine, others}
    assert pending[mine][:2] == ("worker-1", 5)
    assert pending[others][:2] == ("worker-2", 6)
    assert pending[others][2] >= 5000
    assert await scripts.count_attempt("worker-1", []) == []


async def test_an_entry_gone_from_the_stream_is_still_tried_by_its_consumer(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await redis.xdel(keys.events, entry)
    assert await scripts.count_attempt("worker-1", [(entry, 2)]) == [True]
    assert await scripts.count_attempt("worker-1", [(entry, 3)]) == [True]


async def test_a_released_entry_can_be_reclaimed_at_once_and_its_attempt_does_not_count(
    scripts: Scripts, pel: PendingList
) -> None:
    mine, others = await pel.add(2)
    await pel.read("worker-1", 2)
    await pel.age("worker-2", others, idle_ms=0, deliveries=6)
    await pel.begun("worker-1", mine, attempt=4)
    assert await scripts.release_entries("worker-1", 5000, [(mine, 0), (others, 0)]) == 1
    pending = await pel.pending()
    assert pending[mine][:2] == ("worker-1", 0)
    assert pending[mine][2] >= 5000
    assert pending[others][:2] == ("worker-2", 6)
    _, taken, _ = await reclaim(scripts)
    assert [(entry_id.decode(), begun) for entry_id, _, begun, _, _ in taken] == [(mine, 0)]


async def test_a_failure_is_recorded_only_for_the_consumer_s_own_entries(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    mine, others, acked = await pel.add(3)
    await pel.read("worker-1", 3)
    await pel.age("worker-2", others, idle_ms=0)
    await redis.xack(keys.events, GROUP, acked)
    assert await scripts.record_failure("worker-1", {mine: "why", others: "why", acked: "why"}) == 1
    assert await redis.hgetall(keys.failures) == {mine.encode(): b"why"}
