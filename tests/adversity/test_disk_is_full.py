"""Postgres has no room: events wait, are neither lost nor given up, and go on when there is room again."""

import json
import random

from tests.adversity.faults import FAULTS
from tests.support.harness import Harness
from tests.support.wait import until


async def test_events_wait_for_room(harness: Harness) -> None:
    await harness.add_workers(2, {"MAX_ATTEMPTS": "2"})
    await harness.add_gateways(1)
    async with harness.load() as load:
        await load.promised(50)
        async with FAULTS["postgres full"](harness, random.Random(1)):
            await load.promised(50)
            await until(
                lambda: all(worker.log.count("No space left") > 5 for worker in harness.workers),
                what="the workers try more often than an event may fail, and say why they wait",
            )
            code, output, errors = await harness.programs.run("consumers", harness.servers_env, "pending", "--json")
            assert code == 0, errors
            reasons = {entry["why"] for entry in json.loads(output)["entries"]}
            assert any("No space left" in reason and "not counted as an attempt" in reason for reason in reasons)
        await load.promised(50)
    assert set(harness.history.statuses) == {200, 202}
    async with harness.database() as connection:
        assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await harness.check_promises() == []
