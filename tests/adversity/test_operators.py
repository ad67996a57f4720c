"""Operators lose entries and restore servers under load: sent again, every event is applied once; the audit knows."""

import random

import pytest

from tests.adversity.operators import ACTS, check_after_losses
from tests.support.harness import Harness
from tests.support.wait import until

BY_HAND = [name for name in ACTS if "restored" not in name]


async def test_entries_that_are_deleted_and_taken_by_hand(harness: Harness) -> None:
    await harness.add_workers(2)
    await harness.add_gateways(1)
    async with harness.load() as load:
        for name in BY_HAND:
            await load.promised(15)
            async with ACTS[name](harness, random.Random(1)):
                await load.promised(5)
    assert await check_after_losses(harness, load) == []


@pytest.mark.parametrize("name", ["operator: redis restored", "operator: postgres restored"])
async def test_a_server_is_restored_from_an_older_copy(fragile_rig: Harness, name: str) -> None:
    harness = fragile_rig
    await harness.add_workers(2)
    await harness.add_gateways(1)
    async with harness.load() as load:
        await load.promised(40)
        async with ACTS[name](harness, random.Random(1)):
            await load.promised(80)
            await until(lambda: harness.has_applied(100), what="the copy is older than what is applied")
        await load.promised(30)
    broken = await check_after_losses(harness, load)
    assert broken == []
    async with harness.database() as connection:
        servers = {row["server"] for row in await connection.fetch("SELECT server FROM restores")}
    assert servers == {name.split()[1]}, "a restore is noticed, and of the right server"
