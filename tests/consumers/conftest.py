"""A stream and a worker's settings on this test's servers."""

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.settings import Settings
from contract.keys import Keys
from tests.support.consuming import Workers
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream, settings_for


@pytest.fixture
def stream(redis: Redis, keys: Keys) -> Stream:
    """This test's stream, to be brought into a state."""
    return Stream(redis, keys)


@pytest.fixture
def settings(valkey: ValkeyServer, database_url: str, key_prefix: str) -> Settings:
    """Both servers at hand, and no metrics port."""
    return settings_for(valkey.url, database_url, key_prefix)


@pytest.fixture
def workers(stream: Stream, connection: asyncpg.Connection, settings: Settings) -> Workers:
    """Workers on both servers, within this process."""
    return Workers(stream, connection, settings)
