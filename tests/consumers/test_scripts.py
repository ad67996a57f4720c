"""Each script keeps the contract at its top, on a real server."""

from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from consumers.scripts import Scripts
from contract.keys import COMMITTED, GROUP, Keys

FAR_MS = 60_000
SUSPECT = 3
LOCKS = ("lock-a", "lock-b", "lock-c")


@pytest.fixture
def scripts(redis: Redis, keys: Keys) -> Scripts:
    return Scripts(redis, keys)


class Pel:
    """A stream with a group, its entries and its pending list."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def add(self, n: int) -> list[str]:
        added: list[Any] = [await self.redis.xadd(self.keys.events, {"n": str(i)}) for i in range(n)]
        return [entry_id.decode() for entry_id in added]

    async def read(self, consumer: str, n: int) -> list[str]:
        await self.redis.xreadgroup(GROUP, consumer, {self.keys.events: ">"}, count=n)
        return [entry_id for entry_id, (owner, _, _) in (await self.pending()).items() if owner == consumer]

    async def pending(self) -> dict[str, tuple[str, int, int]]:
        """Entry id → consumer, deliveries, idle ms."""
        rows: list[Any] = await self.redis.xpending_range(self.keys.events, GROUP, "-", "+", 10_000)
        return {
            r["message_id"].decode(): (r["consumer"].decode(), r["times_delivered"], r["time_since_delivered"])
            for r in rows
        }

    async def age(self, consumer: str, entry_id: str, *, idle_ms: int, deliveries: int = 1) -> None:
        await self.redis.xclaim(
            self.keys.events, GROUP, consumer, 0, [entry_id], idle=idle_ms, retrycount=deliveries, justid=True
        )

    async def names(self) -> list[str]:
        return sorted(c["name"].decode() for c in await self.redis.xinfo_consumers(self.keys.events, GROUP))


@pytest.fixture
async def pel(redis: Redis, keys: Keys, scripts: Scripts) -> Pel:
    assert await scripts.make_group()
    return Pel(redis, keys)


# Reading.


async def test_reading_ends_with_the_page_that_weighs_enough(scripts: Scripts, pel: Pel) -> None:
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


async def test_locks_are_taken_each_for_itself(redis: Redis, scripts: Scripts, keys: Keys) -> None:
    names = [keys.lock("n", name) for name in LOCKS]
    assert await scripts.acquire_locks(names[:2], "worker-1:a", FAR_MS) == [True, True]
    assert await scripts.acquire_locks(names, "worker-2:b", FAR_MS) == [False, False, True]
    assert await scripts.acquire_locks(names, "worker-1:a", FAR_MS) == [True, True, False]
    assert 0 < await redis.pttl(names[0]) <= FAR_MS


async def test_a_lock_taken_again_lives_as_long_as_a_new_one(redis: Redis, scripts: Scripts, keys: Keys) -> None:
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


async def test_a_heartbeat_renews_all_that_is_held(redis: Redis, scripts: Scripts, keys: Keys, pel: Pel) -> None:
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


async def test_a_heartbeat_says_what_is_lost_and_takes_nothing_back(
    redis: Redis, scripts: Scripts, keys: Keys, pel: Pel
) -> None:
    kept, taken, settled = await pel.add(3)
    await pel.read("worker-1", 3)
    await pel.age("worker-2", taken, idle_ms=5000, deliveries=2)
    await redis.xack(keys.events, GROUP, settled)
    mine, others, gone = (keys.lock("n", name) for name in LOCKS)
    await scripts.acquire_locks([mine, keys.slot(1)], "worker-1:a", FAR_MS)
    await scripts.acquire_locks([others], "worker-2:b", 1000)
    assert await beat(scripts, [kept, taken, settled], [mine, others, gone]) == (True, 2, 2)
    pending = await pel.pending()
    assert pending.keys() == {kept, taken}
    assert pending[taken][:2] == ("worker-2", 2)
    assert pending[taken][2] >= 5000, "the new owner's entry was touched"
    assert 0 < await redis.pttl(others) <= 1000
    assert await redis.exists(gone) == 0


@pytest.mark.parametrize("owner", ["worker-1:of another process", None])
async def test_a_worker_without_its_slot_renews_no_entry_of_its_name(
    redis: Redis, scripts: Scripts, keys: Keys, pel: Pel, owner: str | None
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await pel.age("worker-1", entry, idle_ms=5000)
    if owner:
        await scripts.acquire_locks([keys.slot(1)], owner, 1000)
    assert await beat(scripts, [entry], []) == (False, 0, 1)
    assert (await pel.pending())[entry][2] >= 5000
    assert await redis.pttl(keys.slot(1)) <= 1000


# Taking over what dead workers left.


async def reclaim(
    scripts: Scripts, cursor: str = "-", count: int = 100, idle_ms_min: int = 1000, bytes_max: int = 1000
) -> Any:
    return await scripts.reclaim(
        "worker-9",
        idle_ms_min=idle_ms_min,
        cursor=cursor,
        count=count,
        quarantine_after=SUSPECT,
        bytes_max=bytes_max,
    )


async def test_reclaim_leaves_fresh_entries_alone(scripts: Scripts, pel: Pel) -> None:
    await pel.add(3)
    await pel.read("worker-1", 3)
    assert await reclaim(scripts) == ("-", [], [])
    assert {owner for owner, _, _ in (await pel.pending()).values()} == {"worker-1"}


async def test_reclaim_finds_old_entries_behind_many_fresh_ones(scripts: Scripts, pel: Pel) -> None:
    entry_ids = await pel.add(1500)
    await pel.read("worker-1", 1500)
    old = entry_ids[1200::100]
    for entry_id in old:
        await pel.age("worker-1", entry_id, idle_ms=5000)
    cursor, found = "-", []
    for _ in range(len(old) + 1):
        cursor, taken, gone = await reclaim(scripts, cursor, count=2)
        found += [(entry_id.decode(), deliveries) for entry_id, deliveries, _ in taken]
        assert gone == []
        if cursor == "-":
            break
    assert found == [(entry_id, 2) for entry_id in old]
    assert cursor == "-"
    assert {(await pel.pending())[entry_id][:2] for entry_id in old} == {("worker-9", 2)}


async def test_reclaim_brings_the_fields_as_they_are(redis: Redis, keys: Keys, scripts: Scripts, pel: Pel) -> None:
    await redis.xadd(keys.events, {b"body": b"\xff\x00", b"\xfe": b""})
    (entry,) = await pel.read("worker-1", 1)
    await pel.age("worker-1", entry, idle_ms=5000)
    _, taken, _ = await reclaim(scripts)
    assert taken == [[entry.encode(), 2, [b"body", b"\xff\x00", b"\xfe", b""]]]


async def test_a_suspect_is_taken_alone(scripts: Scripts, pel: Pel) -> None:
    a, suspect, b, c = await pel.add(4)
    await pel.read("worker-1", 4)
    for entry in (a, b, c):
        await pel.age("worker-1", entry, idle_ms=5000, deliveries=SUSPECT)
    await pel.age("worker-1", suspect, idle_ms=5000, deliveries=SUSPECT + 1)
    batches, cursor = [], "-"
    while True:
        cursor, taken, _ = await reclaim(scripts, cursor)
        batches.append([(entry_id.decode(), deliveries) for entry_id, deliveries, _ in taken])
        if cursor == "-":
            break
    assert batches == [[(a, SUSPECT + 1)], [(suspect, SUSPECT + 2)], [(b, SUSPECT + 1), (c, SUSPECT + 1)]]


async def test_entries_gone_from_the_stream_are_told_and_dropped(
    redis: Redis, keys: Keys, scripts: Scripts, pel: Pel
) -> None:
    a, gone, suspect = await pel.add(3)
    await pel.read("worker-1", 3)
    for entry, deliveries in ((a, 1), (gone, 1), (suspect, SUSPECT + 1)):
        await pel.age("worker-1", entry, idle_ms=5000, deliveries=deliveries)
    await redis.xdel(keys.events, gone, suspect)
    cursor, taken, told = await reclaim(scripts)
    assert [entry_id.decode() for entry_id, _, _ in taken] == [a]
    told += (await reclaim(scripts, cursor))[2]
    assert told == [gone.encode(), suspect.encode()]
    assert (await pel.pending()).keys() == {a}


# Attempts.


async def test_an_attempt_is_counted_to_the_number(redis: Redis, keys: Keys, scripts: Scripts, pel: Pel) -> None:
    mine, others, settled = await pel.add(3)
    await pel.read("worker-1", 3)
    await pel.age("worker-2", others, idle_ms=5000, deliveries=6)
    await redis.xack(keys.events, GROUP, settled)
    kept = await scripts.count_attempt("worker-1", [(mine, 5), (others, 5), (settled, 5), ("1-1", 2)])
    assert kept == [True, False, True, True]
    pending = await pel.pending()
    assert pending.keys() == {mine, others}
    assert pending[mine][:2] == ("worker-1", 5)
    assert pending[others][:2] == ("worker-2", 6)
    assert pending[others][2] >= 5000
    assert await scripts.count_attempt("worker-1", []) == []


async def test_an_entry_gone_from_the_stream_is_still_tried_by_who_has_it(
    redis: Redis, keys: Keys, scripts: Scripts, pel: Pel
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await redis.xdel(keys.events, entry)
    assert await scripts.count_attempt("worker-1", [(entry, 2)]) == [True]
    assert await scripts.count_attempt("worker-1", [(entry, 3)]) == [True]


async def test_what_is_given_back_can_be_taken_at_once_and_was_not_delivered(scripts: Scripts, pel: Pel) -> None:
    mine, others = await pel.add(2)
    await pel.read("worker-1", 2)
    await pel.age("worker-2", others, idle_ms=0, deliveries=6)
    assert await scripts.release_entries("worker-1", 5000, [(mine, 0), (others, 0)]) == 1
    pending = await pel.pending()
    assert pending[mine][:2] == ("worker-1", 0)
    assert pending[mine][2] >= 5000
    assert pending[others][:2] == ("worker-2", 6)
    _, taken, _ = await reclaim(scripts)
    assert [(entry_id.decode(), deliveries) for entry_id, deliveries, _ in taken] == [(mine, 1)]


async def test_a_note_is_left_about_entries_that_are_still_ours(
    redis: Redis, keys: Keys, scripts: Scripts, pel: Pel
) -> None:
    mine, others, settled = await pel.add(3)
    await pel.read("worker-1", 3)
    await pel.age("worker-2", others, idle_ms=0)
    await redis.xack(keys.events, GROUP, settled)
    assert await scripts.record_failure("worker-1", {mine: "why", others: "why", settled: "why"}) == 1
    assert await redis.hgetall(keys.failures) == {mine.encode(): b"why"}


# After a commit, and after a burial.


async def test_settling_acknowledges_deletes_and_marks(redis: Redis, keys: Keys, scripts: Scripts, pel: Pel) -> None:
    a, b, other = await pel.add(3)
    await pel.read("worker-1", 3)
    await redis.hset(keys.failures, mapping={a: "why", other: "why"})
    markers = [keys.seen("n", "a"), keys.seen("n", "b")]
    await redis.set(markers[0], a)
    assert await scripts.ack_committed([a, b], markers, 100, [], "") == 2
    assert [await redis.get(marker) for marker in markers] == [COMMITTED, COMMITTED]
    assert 0 < await redis.ttl(markers[1]) <= 100
    assert (await pel.pending()).keys() == {other}
    assert await redis.xlen(keys.events) == 1
    assert await redis.hkeys(keys.failures) == [other.encode()]
    assert await scripts.ack_committed([a, b], markers, 100, [], "") == 0


async def test_settling_releases_only_the_owners_locks(redis: Redis, keys: Keys, scripts: Scripts, pel: Pel) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    ours, theirs = keys.lock("n", "ours"), keys.lock("n", "theirs")
    await scripts.acquire_locks([ours], "worker-1:a", FAR_MS)
    await scripts.acquire_locks([theirs], "worker-2:b", FAR_MS)
    assert await scripts.ack_committed([entry], [keys.seen("n", "a")], 100, [ours, theirs], "worker-1:a") == 1
    assert [await redis.get(name) for name in (ours, theirs)] == [None, b"worker-2:b"]


async def test_settling_after_a_wipe_marks_all_the_same(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    assert await scripts.ack_committed(["1-1"], [keys.seen("n", "a")], 100, [], "") == 0
    assert await redis.get(keys.seen("n", "a")) == COMMITTED
    assert not await redis.exists(keys.events)


async def test_a_burial_takes_its_own_marker_away(redis: Redis, keys: Keys, scripts: Scripts, pel: Pel) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await redis.hset(keys.failures, entry, "why")
    await redis.set(keys.seen("n", "a"), entry)
    assert await scripts.ack_dead_lettered(entry, keys.seen("n", "a"))
    assert not await redis.exists(keys.seen("n", "a"), keys.failures)
    assert not await pel.pending()
    assert not await redis.xlen(keys.events)
    assert not await scripts.ack_dead_lettered(entry, keys.seen("n", "a"))


@pytest.mark.parametrize("held", [b"999-9", COMMITTED])
async def test_a_burial_leaves_the_marker_of_another_entry(
    redis: Redis, keys: Keys, scripts: Scripts, pel: Pel, held: bytes
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await redis.set(keys.seen("n", "a"), held)
    assert not await scripts.ack_dead_lettered(entry, keys.seen("n", "a"))
    assert await redis.get(keys.seen("n", "a")) == held
    assert not await pel.pending()


async def test_a_burial_of_what_named_no_event(scripts: Scripts, pel: Pel) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    assert not await scripts.ack_dead_lettered(entry, None)
    assert not await pel.pending()


# Names.


async def test_a_name_is_forgotten_with_its_slot(redis: Redis, keys: Keys, scripts: Scripts, pel: Pel) -> None:
    await pel.add(1)
    await pel.read("worker-1", 1)
    await scripts.acquire_locks([keys.slot(1)], "worker-1:a", FAR_MS)
    await redis.xack(keys.events, GROUP, *(await pel.pending()))
    assert await scripts.forget_consumer("worker-1", 1, "worker-1:a")
    assert await pel.names() == []
    assert not await redis.exists(keys.slot(1))


async def test_a_name_with_entries_stays_but_its_slot_is_free(
    redis: Redis, keys: Keys, scripts: Scripts, pel: Pel
) -> None:
    await pel.add(1)
    await pel.read("worker-1", 1)
    await scripts.acquire_locks([keys.slot(1)], "worker-1:a", FAR_MS)
    assert not await scripts.forget_consumer("worker-1", 1, "worker-1:a")
    assert await pel.names() == ["worker-1"]
    assert len(await pel.pending()) == 1
    assert not await redis.exists(keys.slot(1))


@pytest.mark.parametrize("token", ["", "worker-1:somebody else's"])
async def test_a_name_with_a_living_owner_stays(
    redis: Redis, keys: Keys, scripts: Scripts, pel: Pel, token: str
) -> None:
    await redis.xgroup_createconsumer(keys.events, GROUP, "worker-1")
    await scripts.acquire_locks([keys.slot(1)], "worker-1:a", FAR_MS)
    assert not await scripts.forget_consumer("worker-1", 1, token)
    assert await pel.names() == ["worker-1"]
    assert await redis.get(keys.slot(1)) == b"worker-1:a"


async def test_forgetting_a_name_nobody_has(scripts: Scripts, pel: Pel) -> None:
    await pel.add(1)
    assert await scripts.forget_consumer("worker-7", 7)
    assert await pel.names() == []


# The group, and a server that lost it.


async def test_a_group_is_made_once_and_begins_at_the_first_entry(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    entry = await redis.xadd(keys.events, {"n": "1"})
    await redis.set(keys.epoch, entry)
    assert await scripts.make_group()
    assert not await scripts.make_group()
    assert await redis.get(keys.epoch) == entry
    assert len(await Pel(redis, keys).read("worker-1", 10)) == 1


async def test_a_group_without_a_stream_waits_for_the_next_epoch(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    await redis.set(keys.epoch, "1-1")
    assert await scripts.make_group()
    assert await redis.xlen(keys.events) == 0
    assert not await redis.exists(keys.epoch)


async def test_a_lost_group_is_an_error_that_says_so(scripts: Scripts) -> None:
    with pytest.raises(ResponseError, match="NOGROUP"):
        await reclaim(scripts)
    with pytest.raises(ResponseError, match="NOGROUP"):
        await scripts.count_attempt("worker-1", [("1-1", 2)])


async def test_a_server_that_forgot_its_scripts_is_told_them_again(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    await redis.script_flush()
    assert await scripts.acquire_locks([keys.lock("n", "r")], "a", FAR_MS) == [True]
