"""A gateway on the shared Valkey, for tests that do no harm to it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.gateway import Running, running
from tests.support.servers import ValkeyServer


@pytest_asyncio.fixture
async def gateway(valkey: ValkeyServer, key_prefix: str) -> AsyncIterator[Running]:
    """The sources `stripe` and `default`, ordinary settings."""
    async with running(valkey.url, key_prefix) as started:
        yield started
