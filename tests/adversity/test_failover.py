"""A standby takes over while events flow: nothing is lost, nothing is applied twice, and work goes on by itself."""

import random

from tests.adversity.failovers import postgres_fails_over, redis_fails_over
from tests.support.harness import Harness
from tests.support.wait import until


async def test_redis_fails_over(fragile_rig: Harness) -> None:
    await fragile_rig.add_workers(2)
    await fragile_rig.add_gateways(2)
    async with fragile_rig.load() as load:
        await load.promised(50)
        async with redis_fails_over(fragile_rig, random.Random(1)):
            await load.promised(50)
        await load.promised(50)
    assert await fragile_rig.check_promises() == []


async def test_postgres_fails_over(fragile_rig: Harness) -> None:
    await fragile_rig.add_workers(2)
    await fragile_rig.add_gateways(1)
    async with fragile_rig.load() as load:
        await load.promised(50)
        async with postgres_fails_over(fragile_rig, random.Random(1)):
            await load.promised(50)
            await until(lambda: fragile_rig.has_applied(80), what="the new server has what came after the failover")
        await load.promised(50)
    assert await fragile_rig.check_promises() == []
