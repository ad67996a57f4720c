"""A Chromium and a seeded shop for all tests here, and a shop of its own for each test that changes something.

These tests run with `make test-browser`: they need Chromium, which `make test` does not.
"""

import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import Visitor, chromium, visiting
from tests.support.database import fresh_database
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.shop import Shop, open_shop, seed

FOLDER = Path(__file__).parent

_number = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of this folder in one event loop, which is the browser's too."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The one Chromium."""
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(
    valkey: ValkeyServer, postgres_with_template: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """A shop with something on each page. Tests only look at it."""
    folder = tmp_path_factory.mktemp("shop")
    async with (
        fresh_database(postgres_with_template) as database_url,
        open_shop(valkey.url, database_url, f"shop{os.getpid()}", folder) as opened,
    ):
        await seed(opened)
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def own_shop(
    valkey: ValkeyServer, postgres_with_template: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """An empty shop, for a test that acts."""
    folder = tmp_path_factory.mktemp("own-shop")
    async with (
        fresh_database(postgres_with_template) as database_url,
        open_shop(valkey.url, database_url, f"own{os.getpid()}-{next(_number)}", folder) as opened,
    ):
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, shop: Shop) -> AsyncIterator[Visitor]:
    """Somebody with windows at the seeded shop's console."""
    async with visiting(browser, shop.console) as somebody:
        yield somebody


@pytest_asyncio.fixture(loop_scope="session")
async def own_visitor(browser: Browser, own_shop: Shop) -> AsyncIterator[Visitor]:
    """Somebody with windows at the console of the test's own shop."""
    async with visiting(browser, own_shop.console) as somebody:
        yield somebody
