"""The master of our keys in a Redis cluster is replaced, or gives them away, while events flow: nothing is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from operations.stream_accounting import account_for_entries
from runtime.redis_connection import client
from tests.adversity.masters_die import fail_over
from tests.support.checker import AUDIT_TIMEOUT_S, find_broken_promises, read_state
from tests.support.harness import Harness
from tests.support.history import History
from tests.support.processes import Programs
from tests.support.redis_cluster import RedisCluster, running_cluster
from tests.support.servers import PostgresServer
from tests.support.wait import until


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[RedisCluster]:
    """Three masters, each with a replica."""
    async with running_cluster(tmp_path / "redis") as cluster:
        yield cluster


@pytest_asyncio.fixture
async def clustered(
    cluster: RedisCluster, database_url: str, postgres: PostgresServer, programs: Programs, history: History
) -> AsyncIterator[Harness]:
    """The whole system on a cluster, which answers when an event is on the replica too."""
    async with Harness(
        cluster.master, postgres, database_url, programs, history,
        redis_url=cluster.url(), gateway_env={"DURABILITY": "fsync+replica"},
    ) as harness:  # fmt: skip
        await harness.add_workers(2)
        await harness.add_gateways(2)
        yield harness


@pytest.mark.parametrize("kind", ["killed", "frozen"])
async def test_a_master_is_replaced(clustered: Harness, cluster: RedisCluster, kind: str) -> None:
    async with clustered.load() as load:
        await load.promised(50)
        await fail_over(clustered, cluster, kind)
        await load.promised(50)
    assert await clustered.check_promises() == []


async def test_a_slot_moves_to_another_master_and_that_one_gives_way_to_its_replica(
    clustered: Harness, cluster: RedisCluster
) -> None:
    async with clustered.load() as load:
        await load.promised(50)
        await cluster.move_slot(next(each for each in await cluster.masters() if each is not cluster.master))
        clustered.valkey = cluster.master
        await load.promised(50)
        await fail_over(clustered, cluster, "planned")
        await load.promised(50)
    assert await clustered.check_promises() == []


async def test_partitions_are_on_all_nodes_and_one_of_them_fails_over(
    cluster: RedisCluster, database_url: str, postgres: PostgresServer, programs: Programs, history: History
) -> None:
    env = {"PARTITIONS": "8"}
    async with Harness(
        cluster.master, postgres, database_url, programs, history, redis_url=cluster.url(), gateway_env=env,
        worker_env=env,
    ) as harness:  # fmt: skip
        await harness.add_workers(2)
        await harness.add_gateways(1)
        async with harness.load() as load:
            await load.promised(50)
            await fail_over(harness, cluster, "planned")
            await load.promised(50)
        async with (
            client(SecretStr(cluster.url()), timeout_s=5, name="a-test") as redis,
            harness.database() as connection,
        ):
            parts = [harness.keys.of(number) for number in range(8)]
            sizes = [await redis.xinfo_stream(keys.events) for keys in parts]
            assert all(size["entries-added"] for size in sizes), "each partition had some"

            async def is_drained() -> bool:
                return not any([await redis.xlen(keys.events) for keys in parts])

            await until(is_drained, what="all is applied")
            assert find_broken_promises(history, await read_state(connection)) == []
            sums, findings = await account_for_entries(redis, harness.keys, connection, timeout_s=AUDIT_TIMEOUT_S)
            assert findings == []
            assert sums
