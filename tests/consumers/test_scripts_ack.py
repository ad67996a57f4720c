"""Each script keeps the contract at its top: acks, consumer names, and the group."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from consumers.scripts import Scripts
from contract.keys import COMMITTED, GROUP, Keys
from tests.support.pending_list import PendingList, reclaim

FAR_MS = 60_000


# Acks, of a commit and of a dead letter.


async def test_the_ack_of_a_commit_deletes_and_marks(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    a, b, other = await pel.add(3)
    await pel.read("worker-1", 3)
    await redis.hset(keys.failures, mapping={a: "why", other: "why"})
    markers = [keys.seen("n", "a"), keys.seen("n", "b")]
    await redis.set(markers[0], a)
    assert await scripts.ack_committed([a, b], markers, 100, [], "") == (2, True)
    assert [await redis.get(marker) for marker in markers] == [COMMITTED, COMMITTED]
    assert 0 < await redis.ttl(markers[1]) <= 100
    assert (await pel.pending()).keys() == {other}
    assert await redis.xlen(keys.events) == 1
    assert await redis.hkeys(keys.failures) == [other.encode()]
    assert await scripts.ack_committed([a, b], markers, 100, [], "") == (0, True)


async def test_the_ack_of_a_commit_releases_only_the_owner_s_locks(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    ours, theirs = keys.lock("n", "ours"), keys.lock("n", "theirs")
    await scripts.acquire_locks([ours], "worker-1:a", FAR_MS)
    await scripts.acquire_locks([theirs], "worker-2:b", FAR_MS)
    assert await scripts.ack_committed([entry], [keys.seen("n", "a")], 100, [ours, theirs], "worker-1:a") == (1, True)
    assert [await redis.get(name) for name in (ours, theirs)] == [None, b"worker-2:b"]


async def test_the_ack_of_a_commit_sets_the_marker_even_after_a_wipe(
    redis: Redis, keys: Keys, scripts: Scripts
) -> None:
    assert await scripts.ack_committed(["1-1"], [keys.seen("n", "a")], 100, [], "") == (0, True)
    assert await redis.get(keys.seen("n", "a")) == COMMITTED
    assert not await redis.exists(keys.events)


async def test_the_ack_of_a_dead_letter_deletes_its_own_marker(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
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
async def test_the_ack_of_a_dead_letter_keeps_the_marker_of_another_entry(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList, held: bytes
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await redis.set(keys.seen("n", "a"), held)
    assert not await scripts.ack_dead_lettered(entry, keys.seen("n", "a"))
    assert await redis.get(keys.seen("n", "a")) == held
    assert not await pel.pending()


async def test_the_ack_of_a_dead_letter_that_could_not_be_decoded(scripts: Scripts, pel: PendingList) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    assert not await scripts.ack_dead_lettered(entry, None)
    assert not await pel.pending()


@pytest.mark.parametrize("key", ["failures", "applied", "account"])
async def test_an_ack_that_is_refused_takes_no_entry_from_the_stream(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList, key: str
) -> None:
    (entry,) = await pel.add(1)
    await pel.read("worker-1", 1)
    await redis.set(getattr(keys, key), "of another kind")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await scripts.ack_committed([entry], [keys.seen("n", "a")], 60, [], "t", consumer="worker-1", applied="n:a")
    assert await redis.xlen(keys.events) == 1
    await redis.delete(getattr(keys, key))
    assert await scripts.ack_committed([entry], [keys.seen("n", "a")], 60, [], "t") == (1, True)
    assert await redis.hget(keys.account, "done") == b"1"


# Leases and names.


async def test_a_name_is_removed_with_its_lease(redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList) -> None:
    await pel.add(1)
    await pel.read("worker-1", 1)
    await scripts.acquire_locks([keys.slot(1)], "worker-1:a", FAR_MS)
    await redis.xack(keys.events, GROUP, *(await pel.pending()))
    assert await scripts.forget_consumer("worker-1", 1, "worker-1:a")
    assert await pel.names() == []
    assert not await redis.exists(keys.slot(1))


async def test_a_name_with_entries_stays_but_its_lease_is_free(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
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
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList, token: str
) -> None:
    await redis.xgroup_createconsumer(keys.events, GROUP, "worker-1")
    await scripts.acquire_locks([keys.slot(1)], "worker-1:a", FAR_MS)
    assert not await scripts.forget_consumer("worker-1", 1, token)
    assert await pel.names() == ["worker-1"]
    assert await redis.get(keys.slot(1)) == b"worker-1:a"


async def test_removing_a_name_that_does_not_exist(scripts: Scripts, pel: PendingList) -> None:
    await pel.add(1)
    assert await scripts.forget_consumer("worker-7", 7)
    assert await pel.names() == []


# The group, and its loss.


async def test_a_group_is_made_once_and_starts_at_the_first_entry(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    entry = await redis.xadd(keys.events, {"n": "1"})
    await redis.set(keys.epoch, entry)
    assert await scripts.make_group()
    assert not await scripts.make_group()
    assert await redis.get(keys.epoch) == entry
    assert len(await PendingList(redis, keys).read("worker-1", 10)) == 1


async def test_a_group_without_a_stream_waits_for_the_next_epoch(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    await redis.set(keys.epoch, "1-1")
    assert await scripts.make_group()
    assert await redis.xlen(keys.events) == 0
    assert not await redis.exists(keys.epoch)


async def test_a_lost_group_is_a_nogroup_error(scripts: Scripts) -> None:
    with pytest.raises(ResponseError, match="NOGROUP"):
        await reclaim(scripts)
    with pytest.raises(ResponseError, match="NOGROUP"):
        await scripts.count_attempt("worker-1", [("1-1", 2)])


async def test_scripts_are_loaded_again_after_the_server_lost_them(redis: Redis, keys: Keys, scripts: Scripts) -> None:
    await redis.script_flush()
    assert await scripts.acquire_locks([keys.lock("n", "r")], "a", FAR_MS) == [True]


async def test_an_epoch_that_is_gone_is_that_of_the_account_and_else_that_of_postgres(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    await pel.add(1)
    assert (await scripts.keep_account("worker-1", 0, 1000)).epoch == ""
    assert (await scripts.keep_account("worker-1", 0, 1000, "5-1")).epoch == "5-1"
    assert await redis.getdel(keys.epoch) == b"5-1"
    assert (await scripts.keep_account("worker-1", 0, 1000, "4-1")).epoch == "5-1"
