"""The master of our keys in a Redis cluster is replaced, or gives them away, while events flow: nothing is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adversity.masters_die import fail_over, survive
from tests.support.harness import Harness
from tests.support.history import History
from tests.support.processes import Programs
from tests.support.redis_cluster import RedisCluster, running_cluster
from tests.support.servers import PostgresServer


@pytest_asyncio.fixture
async def masters(tmp_path: Path) -> AsyncIterator[RedisCluster]:
    """Three masters, each with a replica."""
    async with running_cluster(tmp_path / "redis") as running:
        yield running


@pytest.mark.parametrize("kind", ["killed", "frozen"])
async def test_a_master_is_replaced(replicated: Harness, masters: RedisCluster, kind: str) -> None:
    assert await survive(replicated, masters, kind) == []


async def test_a_slot_moves_to_another_master_and_that_one_gives_way_to_its_replica(
    replicated: Harness, masters: RedisCluster
) -> None:
    async with replicated.load() as load:
        await load.promised(50)
        await masters.move_slot(next(each for each in await masters.masters() if each is not masters.master))
        replicated.valkey = masters.master
        await load.promised(50)
        await fail_over(replicated, masters, "planned")
        await load.promised(50)
    assert await replicated.check_promises() == []


async def test_partitions_are_on_all_nodes_and_one_of_them_fails_over(
    masters: RedisCluster, database_url: str, postgres: PostgresServer, programs: Programs, history: History
) -> None:
    env = {"PARTITIONS": "8"}
    async with Harness(
        masters.master, postgres, database_url, programs, history, redis_url=masters.url(), gateway_env=env,
        worker_env=env,
    ) as harness:  # fmt: skip
        await harness.add_workers(2)
        await harness.add_gateways(1)
        async with harness.load() as load:
            await load.promised(50)
            await fail_over(harness, masters, "planned")
            await load.promised(50)
        async with harness.redis() as redis:
            sizes = [await redis.xinfo_stream(harness.keys.of(number).events) for number in range(8)]
            assert all(size["entries-added"] for size in sizes), "each partition had some"
        assert await harness.check_promises() == []
