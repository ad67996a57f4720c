"""Redis is full: new events are refused as a whole, and the workers still free what they can."""

from tests.support.events import signed_stripe, stripe_event
from tests.support.harness import Harness
from tests.support.load import client, deliver
from tests.support.wait import until

FULL_BYTES = 1
"""A maxmemory that is exceeded whatever is stored."""


async def test_a_full_redis_refuses_events_and_is_emptied_by_workers_that_start_now(harness: Harness) -> None:
    await harness.add_gateways(1)
    async with harness.load() as load:
        await load.promised(100)
    async with harness.redis() as redis, client() as session:
        added = await redis.xlen(harness.keys.events)
        await redis.config_set("maxmemory", FULL_BYTES)
        refused = signed_stripe(stripe_event("evt_too_much", "pi_too_much"))
        assert (await deliver(session, harness.urls[0], refused)).status == 503
        assert await redis.xlen(harness.keys.events) == added
        assert not await redis.exists(harness.keys.seen("stripe", "evt_too_much"))
        # Nothing but the workers can make room: they lease their slots, make the group, and drain, in no memory at all.
        await harness.add_workers(2)
        await until(harness.is_empty, what="what was accepted is applied")
        await redis.config_set("maxmemory", 0)
    assert await harness.check_promises() == []


async def test_redis_fills_up_under_load_and_recovers(harness: Harness) -> None:
    await harness.add_workers(1)
    await harness.add_gateways(2)
    async with harness.load() as load, harness.redis() as redis:
        for _ in range(2):
            await load.promised(100)
            memory = await redis.info("memory")
            await redis.config_set("maxmemory", memory["used_memory"] - memory["mem_not_counted_for_evict"] + 50_000)
            harness.workers[0].pause()
            await load.refused(50)
            harness.workers[0].resume()
            await redis.config_set("maxmemory", 0)
        await load.promised(50)
    assert set(harness.history.statuses) <= {0, 200, 202, 503}
    assert await harness.check_promises() == []


async def test_past_the_backlog_limit_the_answer_is_429_until_workers_catch_up(harness: Harness) -> None:
    await harness.add_gateways(2, {"BACKLOG_LIMIT": "50"})
    async with harness.load() as load:
        await load.refused(50)
        async with harness.redis() as redis:
            assert await redis.xlen(harness.keys.events) == 50
        await harness.add_workers(1)
        await load.promised(100)
    assert set(harness.history.statuses) == {200, 202, 429}
    assert await harness.check_promises() == []
