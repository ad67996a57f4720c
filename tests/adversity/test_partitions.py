"""The number of partitions is changed under load while workers and gateways are killed."""

import random

import pytest

from operations.log import Act
from operations.partitions import set_partitions
from operations.servers import Servers
from tests.adversity.faults import FAULTS
from tests.support.harness import Harness
from tests.support.stream_states import settings_for


async def change(harness: Harness, partitions: int) -> None:
    """What `make partitions` does: workers read first, then gateways are replaced one after the other."""
    settings = settings_for(harness.valkey.url, harness.database_url, harness.prefix)
    await set_partitions(Servers(settings), partitions, act=Act("ada", "more payments", "command"))
    harness.gateway_env = {**harness.gateway_env, "PARTITIONS": str(partitions)}
    for gateway in list(harness.gateways):
        gateway.kill()
        await harness.restart_gateway(gateway)


@pytest.mark.parametrize("seed", [1])
async def test_one_partition_becomes_eight_and_three_again(harness: Harness, seed: int) -> None:
    rng = random.Random(seed)
    await harness.add_workers(3)
    await harness.add_gateways(2)
    async with harness.load(seed=seed) as load:
        await load.promised(40)
        for partitions in (8, 3):
            await change(harness, partitions)
            await load.promised(40)
            for name in ("worker killed", "gateway killed", "worker frozen"):
                harness.history.fault(name)
                async with FAULTS[name](harness, rng):
                    await load.promised(30)
                await load.promised(20)
    # A marker is in the partition that was used then, so that an event may be new to the gateway once more.
    assert await harness.check_promises(one_202_each=False) == []
    async with harness.database() as connection:
        used = "SELECT DISTINCT split_part(entry_id, '-', 2)::bigint / 1000000000000 FROM events ORDER BY 1"
        assert [row[0] for row in await connection.fetch(used)] == list(range(8))
