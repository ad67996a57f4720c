"""Fixtures of the console's tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from consumers.settings import Settings
from tests.support.console import RunningConsole, running_console


@pytest_asyncio.fixture
async def console(settings: Settings) -> AsyncIterator[RunningConsole]:
    """A console on this test's servers, with the rights that workers have."""
    async with running_console(settings) as running:
        yield running
