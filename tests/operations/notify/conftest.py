"""Fixtures of the notifier's tests."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from consumers.settings import Settings
from tests.support.notifying import Notifying
from tests.support.receiver import Receiver, receiving


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that accepts everything until its `answer` is replaced."""
    async with receiving() as running:
        yield running


@pytest.fixture
def notifying(settings: Settings, connection: asyncpg.Connection, receiver: Receiver) -> Notifying:
    """Notifiers that send to the receiver, and what they find."""
    return Notifying(settings, connection, receiver.url)
