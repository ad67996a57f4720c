"""The whole system with servers of the test's own: here everything may be killed, frozen, cut and filled up."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adversity.masters_die import WAITS_FOR_REDIS_S
from tests.support.harness import REPLICATED_ENV, Harness
from tests.support.history import History
from tests.support.masters import Masters
from tests.support.processes import Programs
from tests.support.servers import PostgresServer, ValkeyServer


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """The requests that this test's senders made, and the answers they got."""
    with History(tmp_path / "history.jsonl") as history:
        yield history


@pytest_asyncio.fixture
async def harness(
    private_valkey: ValkeyServer, database_url: str, postgres: PostgresServer, programs: Programs, history: History
) -> AsyncIterator[Harness]:
    """A Valkey of its own and a database in the shared PostgreSQL: for tests that do not harm Postgres itself."""
    async with Harness(private_valkey, postgres, database_url, programs, history) as harness:
        yield harness


@pytest_asyncio.fixture
async def fragile_rig(
    private_valkey: ValkeyServer, private_postgres: PostgresServer, programs: Programs, history: History
) -> AsyncIterator[Harness]:
    """A Valkey and a PostgreSQL of its own, as durable as production's."""
    async with Harness(private_valkey, private_postgres, private_postgres.url, programs, history) as harness:
        yield harness


@pytest_asyncio.fixture
async def replicated(
    masters: Masters, database_url: str, postgres: PostgresServer, programs: Programs, history: History
) -> AsyncIterator[Harness]:
    """The whole system on servers whose master is replaced, which answers when an event is on replicas too."""
    async with Harness(
        masters.master, postgres, database_url, programs, history, redis_url=masters.url(),
        gateway_env=REPLICATED_ENV | {"REDIS_TIMEOUT_S": str(WAITS_FOR_REDIS_S)},
    ) as harness:  # fmt: skip
        await harness.add_workers(2)
        await harness.add_gateways(2)
        yield harness
