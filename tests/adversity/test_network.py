"""Every link is cut, half closed, stalled, refused, and robbed of its replies, while events come in."""

import random

import pytest

from tests.adversity.faults import LASTING, PASSING
from tests.support.harness import Harness

RNG = random.Random(1)


async def test_between_gateway_and_redis(harness: Harness) -> None:
    await harness.add_gateways(2)
    await harness.add_workers(1)
    async with harness.load() as load:
        for make in PASSING.values():
            await load.promised(30)
            async with make("gateway to redis")(harness, RNG):
                await load.promised(30)
        for make in LASTING.values():
            await load.promised(30)
            async with make("gateway to redis")(harness, RNG):
                await load.refused(15)
        await load.promised(30)
    assert set(harness.history.statuses) <= {0, 200, 202, 503}
    assert await harness.check_promises() == []


@pytest.mark.parametrize("wire", ["worker to redis", "worker to postgres"])
async def test_between_workers_and_their_servers(harness: Harness, wire: str) -> None:
    await harness.add_gateways(1)
    await harness.add_workers(2)
    async with harness.load() as load:
        for make in (PASSING | LASTING).values():
            await load.promised(30)
            async with make(wire)(harness, RNG):
                await load.promised(60)
        await load.promised(30)
    assert set(harness.history.statuses) == {200, 202}
    assert await harness.check_promises() == []
