"""The locks of a batch's resources, held while the work lasts."""

import pytest
from redis.asyncio import Redis

from consumers.entry import Entry
from consumers.locks import Locks
from consumers.scripts import Scripts
from contract.keys import Keys
from tests.support.events import contract_event

TTL_MS = 60_000
A, B = ("stripe", "pi_a"), ("stripe", "pi_b")
OF_A, OF_B = (Entry(f"{n}-0", n, contract_event(f"evt_{n}", f"pi_{name}"), {}) for n, name in ((1, "a"), (2, "b")))


def locks_of(redis: Redis, keys: Keys, token: str) -> Locks:
    return Locks(Scripts(redis, keys), keys, token.partition(":")[0], token, TTL_MS)


async def test_each_worker_gets_the_free_locks(redis: Redis, keys: Keys) -> None:
    first, second = locks_of(redis, keys, "worker-1:a"), locks_of(redis, keys, "worker-2:b")
    async with first.hold([OF_A, OF_A]) as held:
        assert held == {A}
        assert first.held == {keys.lock(*A)}
        assert await redis.get(keys.lock(*A)) == b"worker-1:a"
        async with second.hold([OF_A, OF_B]) as rest:
            assert rest == {B}
            assert await redis.hgetall(keys.begun) == {b"worker-1": b"1-0=1 1-0=1", b"worker-2": b"2-0=2"}
    assert first.held == second.held == frozenset()
    assert not await redis.exists(keys.lock(*A), keys.lock(*B))


async def test_no_resources_need_no_locks(redis: Redis, keys: Keys) -> None:
    async with locks_of(redis, keys, "worker-1:a").hold([]) as held:
        assert held == set()


async def test_locks_are_released_when_the_work_fails(redis: Redis, keys: Keys) -> None:
    async def work() -> None:
        async with locks_of(redis, keys, "worker-1:a").hold([OF_A]):
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert not await redis.exists(keys.lock(*A))


async def test_a_lock_with_a_new_owner_is_not_released(redis: Redis, keys: Keys) -> None:
    async with locks_of(redis, keys, "worker-1:a").hold([OF_A]):
        await redis.set(keys.lock(*A), "worker-2:b")
    assert await redis.get(keys.lock(*A)) == b"worker-2:b"


async def test_a_failed_release_does_not_fail_the_work(redis: Redis, keys: Keys) -> None:
    """The key has the wrong type, so the server refuses to compare the token."""
    async with locks_of(redis, keys, "worker-1:a").hold([OF_A]):
        await redis.delete(keys.lock(*A))
        await redis.lpush(keys.lock(*A), "x")
    assert await redis.exists(keys.lock(*A))
