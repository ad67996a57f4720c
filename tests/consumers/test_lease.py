"""A worker's name: leased, kept by a heartbeat that survives an error, given up with all that belongs to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from consumers import lease as slots
from consumers.lease import Lease, SlotsExhaustedError
from consumers.locks import Locks
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.stream import Stream
from contract.keys import GROUP, Keys
from tests.support.consuming import QUICK
from tests.support.wait import until

AcquireLease = Callable[[], Awaitable[Lease]]


@pytest.fixture
async def lease(redis: Redis, keys: Keys, settings: Settings) -> AcquireLease:
    """Leases one more slot."""
    scripts = Scripts(redis, keys)
    await scripts.make_group()
    quick = settings.model_copy(update=QUICK)
    return lambda: Lease(scripts, Stream(redis, redis, scripts, keys), keys, quick).lease()


@asynccontextmanager
async def kept(slot: Lease, redis: Redis, keys: Keys) -> AsyncIterator[None]:
    """With its heartbeat, while the block lasts."""
    locks = Locks(Scripts(redis, keys), keys, slot.token, QUICK["lock_ttl_ms"])
    task = asyncio.create_task(slot.keep(locks, list))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_lowest_free_slot_is_leased(redis: Redis, keys: Keys, lease: AcquireLease) -> None:
    first, second, third = [await lease() for _ in range(3)]
    assert [slot.consumer for slot in (first, second, third)] == ["worker-1", "worker-2", "worker-3"]
    assert (await redis.get(keys.slot(2))) == second.token.encode()
    assert second.token.startswith("worker-2:")
    await second.give_up()
    again = await lease()
    assert again.number == 2
    assert again.token != second.token


async def test_there_are_only_so_many(lease: AcquireLease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLOTS_MAX", 2)
    assert [(await lease()).number for _ in range(2)] == [1, 2]
    with pytest.raises(SlotsExhaustedError, match="all 2 worker slots"):
        await lease()


async def test_a_lease_lives_as_long_as_its_heart_beats(redis: Redis, keys: Keys, lease: AcquireLease) -> None:
    slot = await lease()
    await redis.pexpire(keys.slot(1), 10_000)
    async with kept(slot, redis, keys):
        await until(lambda: is_renewed(redis, keys), what="a beat has set the lease's life")
    await until(lambda: lacks(redis, keys.slot(1)), what="the lease has expired")


async def is_renewed(redis: Redis, keys: Keys) -> bool:
    return bool(await redis.pttl(keys.slot(1)) <= QUICK["slot_ttl_ms"])


async def lacks(redis: Redis, key: str) -> bool:
    return not await redis.exists(key)


@pytest.mark.parametrize("other", ["worker-1:other", None])
async def test_a_lost_lease_is_noticed_and_not_taken_back(
    redis: Redis, keys: Keys, lease: AcquireLease, other: str | None
) -> None:
    slot = await lease()
    async with kept(slot, redis, keys):
        if other:
            await redis.set(keys.slot(1), other)
        else:
            await redis.delete(keys.slot(1))
        await until(slot.lost.is_set, what="the loss is noticed")
    assert await redis.get(keys.slot(1)) == (other.encode() if other else None)
    await slot.give_up()
    assert await redis.get(keys.slot(1)) == (other.encode() if other else None)


async def test_a_heart_goes_on_beating_after_an_error(redis: Redis, keys: Keys, lease: AcquireLease) -> None:
    """The stream is no stream for a while: the script fails. Then all is well again."""
    slot = await lease()
    locks = Locks(Scripts(redis, keys), keys, slot.token, QUICK["lock_ttl_ms"])
    await redis.delete(keys.events)
    await redis.set(keys.events, "not a stream")
    task = asyncio.create_task(slot.keep(locks, lambda: ["1-1"]))
    await redis.pexpire(keys.slot(1), 10_000)
    await until(lambda: is_renewed(redis, keys), what="the lease is renewed even so")
    await redis.delete(keys.events)
    await Scripts(redis, keys).make_group()
    await redis.pexpire(keys.slot(1), 10_000)
    await until(lambda: is_renewed(redis, keys), what="the next beats")
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})


async def test_a_name_is_given_up_with_its_slot(redis: Redis, keys: Keys, lease: AcquireLease) -> None:
    slot = await lease()
    await redis.xgroup_createconsumer(keys.events, GROUP, slot.consumer)
    await slot.give_up()
    assert await redis.xinfo_consumers(keys.events, GROUP) == []
    assert not await redis.exists(keys.slot(1))


async def test_giving_up_where_the_group_is_gone_is_no_error(redis: Redis, keys: Keys, lease: AcquireLease) -> None:
    slot = await lease()
    await redis.delete(keys.events)
    await slot.give_up()
    assert not await redis.exists(keys.slot(1))
