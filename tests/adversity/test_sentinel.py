"""The master of Redis is replaced while events flow: what was answered 2xx is there, and work goes on by itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adversity.masters_die import fail_over
from tests.adversity.operators import NOT_NOTICED, OF_A_LOSS
from tests.support.harness import Harness
from tests.support.history import History
from tests.support.processes import Programs
from tests.support.sentinels import Sentinels, running_sentinels
from tests.support.servers import PostgresServer


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Sentinels]:
    """One master, two replicas, three sentinels."""
    async with running_sentinels(tmp_path / "redis") as cluster:
        yield cluster


@pytest_asyncio.fixture
async def replicated(
    cluster: Sentinels, database_url: str, postgres: PostgresServer, programs: Programs, history: History
) -> AsyncIterator[Harness]:
    """The whole system, which finds Redis through the sentinels, and answers when it is on the replicas too."""
    async with Harness(
        cluster.master, postgres, database_url, programs, history,
        redis_url=cluster.url(), gateway_env={"DURABILITY": "fsync+replica"},
    ) as harness:  # fmt: skip
        await harness.add_workers(2)
        await harness.add_gateways(2)
        yield harness


@pytest.mark.parametrize("kind", ["planned", "killed", "frozen"])
async def test_a_master_is_replaced(replicated: Harness, cluster: Sentinels, kind: str) -> None:
    async with replicated.load() as load:
        await load.promised(50)
        await fail_over(replicated, cluster, kind)
        await load.promised(50)
    assert await replicated.check_promises() == []


async def test_a_replica_is_promoted_while_its_master_takes_writes(replicated: Harness, cluster: Sentinels) -> None:
    """Workers may have applied what only the old master had: the audit names it, and nothing promised is lost."""
    async with replicated.load() as load:
        await load.promised(50)
        await cluster.forced()
        replicated.valkey = cluster.master
        await load.promised(50)
    of_the_old = tuple(f"audit: {name} " for name in (*OF_A_LOSS, *NOT_NOTICED))
    assert [line for line in await replicated.check_promises() if not line.startswith(of_the_old)] == []
