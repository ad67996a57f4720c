"""The scripts of a test's own partition, and its pending list."""

import pytest
from redis.asyncio import Redis

from consumers.scripts import Scripts
from contract.keys import Keys
from tests.support.pending_list import PendingList


@pytest.fixture
def scripts(redis: Redis, keys: Keys) -> Scripts:
    """The scripts of this test's partition."""
    return Scripts(redis, keys)


@pytest.fixture
async def pel(redis: Redis, keys: Keys, scripts: Scripts) -> PendingList:
    """The pending list of a group that was just made."""
    assert await scripts.make_group()
    return PendingList(redis, keys)
