"""The master of Redis is replaced while events flow: what was answered 2xx is there, and work goes on by itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adversity.masters_die import survive
from tests.adversity.operators import NOT_NOTICED, OF_A_LOSS
from tests.support.harness import Harness
from tests.support.sentinels import Sentinels, running_sentinels


@pytest_asyncio.fixture
async def masters(tmp_path: Path) -> AsyncIterator[Sentinels]:
    """One master, two replicas, three sentinels."""
    async with running_sentinels(tmp_path / "redis") as running:
        yield running


@pytest.mark.parametrize("kind", ["planned", "killed", "frozen"])
async def test_a_master_is_replaced(replicated: Harness, masters: Sentinels, kind: str) -> None:
    assert await survive(replicated, masters, kind) == []


async def test_a_replica_is_promoted_while_its_master_takes_writes(replicated: Harness, masters: Sentinels) -> None:
    """Workers may have applied what only the old master had: the audit names it, and nothing promised is lost."""
    async with replicated.load() as load:
        await load.promised(50)
        await masters.forced()
        replicated.valkey = masters.master
        await load.promised(50)
    of_the_old = tuple(f"audit: {name} " for name in (*OF_A_LOSS, *NOT_NOTICED))
    assert [line for line in await replicated.check_promises() if not line.startswith(of_the_old)] == []
