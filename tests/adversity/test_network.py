"""Every link is cut, half closed, stalled, refused, and robbed of its replies, while events come in."""

import random

import pytest

from tests.adversity.faults import LASTING, PASSING
from tests.support.rig import Rig

RNG = random.Random(1)


async def test_between_gateway_and_redis(rig: Rig) -> None:
    await rig.add_gateways(2)
    await rig.add_workers(1)
    async with rig.load() as load:
        for make in PASSING.values():
            await load.promised(30)
            async with make("gateway to redis")(rig, RNG):
                await load.promised(30)
        for make in LASTING.values():
            await load.promised(30)
            async with make("gateway to redis")(rig, RNG):
                await load.refused(15)
        await load.promised(30)
    assert set(rig.history.statuses) <= {0, 200, 202, 503}
    assert await rig.verdict() == []


@pytest.mark.parametrize("wire", ["worker to redis", "worker to postgres"])
async def test_between_workers_and_their_servers(rig: Rig, wire: str) -> None:
    await rig.add_gateways(1)
    await rig.add_workers(2)
    async with rig.load() as load:
        for make in (PASSING | LASTING).values():
            await load.promised(30)
            async with make(wire)(rig, RNG):
                await load.promised(60)
        await load.promised(30)
    assert set(rig.history.statuses) == {200, 202}
    assert await rig.verdict() == []
