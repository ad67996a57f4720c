"""A worker acquires a lease, works under it, and begins again under another when it has lost it."""

import time
from itertools import pairwise

import pytest

from contract.keys import GROUP
from tests.support.consuming import QUICK, Workers
from tests.support.events import contract_event
from tests.support.wait import until

# Leases and names.


async def test_workers_take_the_lowest_free_leases_and_leave_nothing_behind(workers: Workers) -> None:
    async with workers.working() as first:
        await until(lambda: workers.has_leases(1), what="the first lease is acquired")
        async with workers.working(), workers.working():
            await until(lambda: workers.has_leases(1, 2, 3), what="three leases are acquired")
            await first.stop()
            assert await workers.leases() == [2, 3]
            async with workers.working():
                await until(lambda: workers.has_leases(1, 2, 3), what="the lowest lease is acquired again")
    assert await workers.leases() == []
    assert await workers.names() == []


async def test_an_idle_worker_keeps_its_lease(workers: Workers) -> None:
    async with workers.working(block_ms=5000):
        await until(lambda: workers.has_leases(1), what="the lease is acquired")
        token = await workers.redis.get(workers.keys.slot(1))
        began_s = time.monotonic()
        await until(
            lambda: time.monotonic() > began_s + 2 * QUICK["slot_ttl_ms"] / 1000,
            what="two lives of a lease have passed",
        )
        assert await workers.redis.get(workers.keys.slot(1)) == token


@pytest.mark.parametrize("new_owner", ["worker-1:somebody else", None])
async def test_a_worker_that_lost_its_lease_starts_again(workers: Workers, new_owner: str | None) -> None:
    async with workers.working() as running:
        await until(lambda: workers.has_leases(1), what="the lease is acquired")
        old = await workers.redis.get(workers.keys.slot(1))
        if new_owner:
            await workers.redis.set(workers.keys.slot(1), new_owner, px=60_000)
        else:
            await workers.redis.delete(workers.keys.slot(1))
        free = 2 if new_owner else 1
        await until(lambda: workers.redis.get(workers.keys.slot(free)), what="it has a lease again")
        assert await workers.redis.get(workers.keys.slot(free)) != old
        await workers.publish(3)
        await workers.drained()
        assert not running.task.done()
    assert await workers.redis.get(workers.keys.slot(1)) == (new_owner.encode() if new_owner else None)
    await workers.assert_all_acked()


async def test_a_worker_that_lost_its_lease_leaves_its_entries_to_others(workers: Workers) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    entry_id = await workers.stream.publish(busy)
    async with workers.working():
        await until(lambda: workers.has_pending(entry_id, "worker-1"), what="the entry is delayed")
        await workers.redis.set(workers.keys.slot(1), "worker-1:somebody else", px=60_000)
        await until(lambda: workers.has_pending(entry_id, "worker-2"), what="it reclaims the entry under its new lease")
        await workers.redis.delete(workers.keys.lock("stripe", "pi_busy"))
        await workers.drained()
    assert await workers.events() == ["evt_busy"]
    await workers.assert_all_acked()


async def test_a_worker_that_cannot_start_does_not_lease_one_number_after_the_other(workers: Workers) -> None:
    await workers.redis.set(workers.keys.events, "not a stream")
    async with workers.working(slot_ttl_ms=60_000) as running:
        ages = [running.progress.age_s]

        def has_tried_often() -> bool:
            """Each try resets the age."""
            if (age_s := running.progress.age_s) != ages[-1]:
                ages.append(age_s)
            return sum(later < earlier for earlier, later in pairwise(ages)) >= 5

        await until(has_tried_often, what="it has tried often")
        assert await workers.leases() in ([], [1])
        await workers.redis.delete(workers.keys.events)
        await workers.publish(1)
        await until(lambda: workers.has_leases(1), what="it works, under the first name")
        await workers.drained()


async def test_a_started_worker_has_made_the_group(workers: Workers) -> None:
    async with workers.working():
        await until(lambda: workers.has_leases(1), what="the lease is acquired")
        await until(lambda: workers.redis.exists(workers.keys.events), what="the stream is there")
        groups = await workers.redis.xinfo_groups(workers.keys.events)
    assert [group["name"] for group in groups] == [GROUP.encode()]
