"""The whole system as its users run it: real programs, the shared servers, a database and a key prefix of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.support.harness import Harness
from tests.support.history import History
from tests.support.load import client
from tests.support.processes import Programs
from tests.support.servers import PostgresServer, ValkeyServer

PATIENT = {"REDIS_TIMEOUT_S": "20", "DURABILITY_TIMEOUT_S": "10"}
"""Nothing is broken here on purpose: a disk that is busy for a second is waited for, and no answer is a 503."""


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """The requests that this test's senders made, and the answers they got."""
    with History(tmp_path / "history.jsonl") as history:
        yield history


@pytest_asyncio.fixture
async def harness(
    valkey: ValkeyServer,
    postgres: PostgresServer,
    database_url: str,
    key_prefix: str,
    programs: Programs,
    history: History,
) -> AsyncIterator[Harness]:
    """Nothing runs yet; what is added finds the shared servers."""
    async with Harness(valkey, postgres, database_url, programs, history, key_prefix, gateway_env=PATIENT) as harness:
        yield harness


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A sender."""
    async with client() as session:
        yield session
