"""A worker's name: leased, kept by a heartbeat that survives an error, given up with all that belongs to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from consumers import lease as slots
from consumers.lease import Lease, LeasesExhaustedError
from consumers.locks import Locks
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.stream import Stream
from contract.keys import GROUP, Keys
from tests.support.consuming import QUICK
from tests.support.wait import until

AcquireLease = Callable[[], Awaitable[Lease]]


@pytest.fixture
async def acquire(redis: Redis, keys: Keys, settings: Settings) -> AcquireLease:
    """Acquires one more lease."""
    scripts = Scripts(redis, keys)
    await scripts.make_group()
    quick = settings.model_copy(update=QUICK)
    return lambda: Lease(scripts, Stream(redis, redis, scripts, keys), keys, quick).acquire()


@asynccontextmanager
async def kept(lease: Lease, redis: Redis, keys: Keys) -> AsyncIterator[None]:
    """Runs the heartbeat while the block lasts."""
    locks = Locks(Scripts(redis, keys), keys, lease.consumer, lease.token, QUICK["lock_ttl_ms"])
    task = asyncio.create_task(lease.keep_alive([locks], list))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_lowest_free_number_is_leased(redis: Redis, keys: Keys, acquire: AcquireLease) -> None:
    first, second, third = [await acquire() for _ in range(3)]
    assert [lease.consumer for lease in (first, second, third)] == ["worker-1", "worker-2", "worker-3"]
    assert (await redis.get(keys.slot(2))) == second.token.encode()
    assert second.token.startswith("worker-2:")
    await second.release()
    again = await acquire()
    assert again.number == 2
    assert again.token != second.token


async def test_the_number_of_leases_has_a_limit(acquire: AcquireLease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "LEASES_MAX", 2)
    assert [(await acquire()).number for _ in range(2)] == [1, 2]
    with pytest.raises(LeasesExhaustedError, match="all 2 worker names"):
        await acquire()


async def test_a_lease_lives_as_long_as_its_heartbeat_runs(redis: Redis, keys: Keys, acquire: AcquireLease) -> None:
    lease = await acquire()
    await redis.pexpire(keys.slot(1), 10_000)
    async with kept(lease, redis, keys):
        await until(lambda: is_renewed(redis, keys), what="a heartbeat has set the lease's life")
    await until(lambda: lacks(redis, keys.slot(1)), what="the lease has expired")


async def is_renewed(redis: Redis, keys: Keys) -> bool:
    return bool(await redis.pttl(keys.slot(1)) <= QUICK["slot_ttl_ms"])


async def lacks(redis: Redis, key: str) -> bool:
    return not await redis.exists(key)


@pytest.mark.parametrize("other", ["worker-1:other", None])
async def test_a_lost_lease_is_noticed_and_not_taken_back(
    redis: Redis, keys: Keys, acquire: AcquireLease, other: str | None
) -> None:
    lease = await acquire()
    async with kept(lease, redis, keys):
        if other:
            await redis.set(keys.slot(1), other)
        else:
            await redis.delete(keys.slot(1))
        await until(lease.lost.is_set, what="the loss is noticed")
    assert await redis.get(keys.slot(1)) == (other.encode() if other else None)
    await lease.release()
    assert await redis.get(keys.slot(1)) == (other.encode() if other else None)


async def test_the_heartbeat_continues_after_an_error(redis: Redis, keys: Keys, acquire: AcquireLease) -> None:
    """The stream's key is a string for a while, so the script fails. Then it is a stream again."""
    lease = await acquire()
    locks = Locks(Scripts(redis, keys), keys, lease.consumer, lease.token, QUICK["lock_ttl_ms"])
    await redis.delete(keys.events)
    await redis.set(keys.events, "not a stream")
    task = asyncio.create_task(lease.keep_alive([locks], lambda: ["1-1"]))
    await redis.pexpire(keys.slot(1), 10_000)
    await until(lambda: is_renewed(redis, keys), what="the lease is renewed even so")
    await redis.delete(keys.events)
    await Scripts(redis, keys).make_group()
    await redis.pexpire(keys.slot(1), 10_000)
    await until(lambda: is_renewed(redis, keys), what="the next heartbeats succeed")
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})


async def test_a_released_lease_removes_its_name(redis: Redis, keys: Keys, acquire: AcquireLease) -> None:
    lease = await acquire()
    await redis.xgroup_createconsumer(keys.events, GROUP, lease.consumer)
    await lease.release()
    assert await redis.xinfo_consumers(keys.events, GROUP) == []
    assert not await redis.exists(keys.slot(1))


async def test_a_release_without_a_group_is_no_error(redis: Redis, keys: Keys, acquire: AcquireLease) -> None:
    lease = await acquire()
    await redis.delete(keys.events)
    await lease.release()
    assert not await redis.exists(keys.slot(1))
