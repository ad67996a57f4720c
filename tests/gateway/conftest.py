"""A gateway on the shared Valkey, for tests that do no harm to it."""

from collections.abc import AsyncIterator

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from tests.support.gateway import Running, running
from tests.support.servers import ValkeyServer

PageClient = TestClient[web.Request, web.Application]


@pytest_asyncio.fixture
async def gateway(valkey: ValkeyServer, key_prefix: str) -> AsyncIterator[Running]:
    """Serve the sources `stripe` and `default` with ordinary settings."""
    async with running(valkey.url, key_prefix) as started:
        yield started


@pytest_asyncio.fixture
async def operators(gateway: Running, aiohttp_client: AiohttpClient) -> PageClient:
    """Return an ordinary HTTP client of what the operators' port serves, on a server of its own."""
    return await aiohttp_client(gateway.gateway.operators_application)


@pytest_asyncio.fixture
async def pages(gateway: Running, aiohttp_client: AiohttpClient) -> PageClient:
    """Return an ordinary HTTP client of the same application, on a server of its own."""
    return await aiohttp_client(gateway.gateway.application)
