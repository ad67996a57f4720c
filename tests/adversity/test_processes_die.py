"""Gateways and workers are killed, frozen and replaced at random while events come in."""

import random

import pytest

from tests.adversity.faults import FAULTS
from tests.support.rig import Rig
from tests.support.wait import until

OF_WORKERS = ("worker killed", "worker frozen", "worker replaced")
OF_GATEWAYS = ("gateway killed", "gateway frozen", "gateway replaced")


@pytest.mark.parametrize(("faults", "seed"), [(OF_WORKERS, 1), (OF_GATEWAYS, 2)])
async def test_at_random(rig: Rig, faults: tuple[str, ...], seed: int) -> None:
    rng = random.Random(seed)
    await rig.add_workers(2)
    await rig.add_gateways(2)
    async with rig.load(seed=seed) as load:
        for name in rng.sample(faults * 2, k=len(faults) * 2):
            rig.history.fault(name)
            async with FAULTS[name](rig, rng):
                await load.promised(40)
            await load.promised(20)
    assert set(rig.history.statuses) <= {0, 200, 202, 503}
    assert await rig.verdict() == []


async def test_one_of_two_gateway_processes_is_killed(rig: Rig) -> None:
    await rig.add_workers(1)
    await rig.add_gateways(1, {"GATEWAY_PROCESSES": "2"})
    (gateway,) = rig.gateways
    async with rig.load() as load:
        await load.promised(50)
        killed, survivor = gateway.children
        gateway.kill_child(killed)
        await until(lambda: len({*gateway.children} - {killed}) == 2, what="another process takes its place")
        assert survivor in gateway.children
        await load.promised(50)
    assert await rig.verdict() == []


async def test_duplicates_in_any_order_while_workers_die(rig: Rig) -> None:
    """20 payments, each event ten times, over two gateways and four workers that are killed one after the other."""
    rng = random.Random(3)
    await rig.add_gateways(2)
    await rig.add_workers(4)
    async with rig.load(payments=20, copies=10, senders=16) as load:
        while not load.is_over:
            async with FAULTS["worker killed"](rig, rng):
                await load.ended(60)
    assert await rig.verdict() == []
    async with rig.database() as connection:
        assert await connection.fetchval("SELECT count(*) FROM payments") == 20
        assert await connection.fetchval("SELECT count(*) FROM events") == len(rig.history.stories)
