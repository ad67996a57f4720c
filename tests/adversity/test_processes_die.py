"""Gateways and workers are killed, frozen and replaced at random while events come in."""

import random

import pytest

from tests.adversity.faults import FAULTS
from tests.support.harness import Harness
from tests.support.wait import until

OF_WORKERS = ("worker killed", "worker frozen", "worker replaced")
OF_GATEWAYS = ("gateway killed", "gateway frozen", "gateway replaced")


@pytest.mark.parametrize(("faults", "seed"), [(OF_WORKERS, 1), (OF_GATEWAYS, 2)])
async def test_at_random(harness: Harness, faults: tuple[str, ...], seed: int) -> None:
    rng = random.Random(seed)
    await harness.add_workers(2)
    await harness.add_gateways(2)
    async with harness.load(seed=seed) as load:
        for name in rng.sample(faults * 2, k=len(faults) * 2):
            harness.history.fault(name)
            async with FAULTS[name](harness, rng):
                await load.promised(40)
            await load.promised(20)
    assert set(harness.history.statuses) <= {0, 200, 202, 503}
    assert await harness.check_promises() == []


async def test_one_of_two_gateway_processes_is_killed(harness: Harness) -> None:
    await harness.add_workers(1)
    await harness.add_gateways(1, {"GATEWAY_PROCESSES": "2"})
    (gateway,) = harness.gateways
    async with harness.load() as load:
        await load.promised(50)
        killed, survivor = gateway.children
        gateway.kill_child(killed)
        await until(lambda: len({*gateway.children} - {killed}) == 2, what="another process takes its place")
        assert survivor in gateway.children
        await load.promised(50)
    assert await harness.check_promises() == []


async def test_duplicates_in_any_order_while_workers_die(harness: Harness) -> None:
    """20 payments, each event ten times, over two gateways and four workers that are killed one after the other."""
    rng = random.Random(3)
    await harness.add_gateways(2)
    await harness.add_workers(4)
    async with harness.load(payments=20, copies=10, senders=16) as load:
        while not load.is_over:
            async with FAULTS["worker killed"](harness, rng):
                await load.ended(60)
    assert await harness.check_promises() == []
    async with harness.database() as connection:
        assert await connection.fetchval("SELECT count(*) FROM payments") == 20
        assert await connection.fetchval("SELECT count(*) FROM events") == len(harness.history.events)
