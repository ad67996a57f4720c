"""How large a body may be: as large as its provider sends them, unless an operator or the source says otherwise."""

import json
import time
from typing import Any

import pytest
from pytest_aiohttp import AiohttpClient

from providers import PROVIDERS
from providers.base import BODY_BYTES_DEFAULT, BODY_BYTES_LARGE
from tests.support.gateway import request, running
from tests.support.provider_cases import CASES
from tests.support.servers import ValkeyServer

LARGE = ("stripe", "shopify", "github")


def large(provider: str, size: int) -> bytes:
    """Return a genuine request with a body of about that size, signed now."""
    case = CASES[provider]
    body = json.dumps({**case.event("x"), "line_items": ["x" * 1000] * (size // 1004)})
    headers, sent = case.deliver(body, at_s=int(time.time())).sent()
    return request("/webhooks/a", sent, {name.decode(): value.decode() for name, value in headers})


async def status(
    valkey: ValkeyServer, key_prefix: str, provider: str, size: int, own: dict[str, int] | None = None, **settings: Any
) -> int:
    """Return what a gateway with these settings, and a source with its own, answers to such a request."""
    source = CASES[provider].source(**(own or {}))
    async with running(valkey.url, key_prefix, providers={"a": source}, **settings) as gateway:
        return (await gateway.exchange(large(provider, size))).status


@pytest.mark.parametrize("provider", LARGE)
async def test_a_provider_that_sends_more_than_a_mebibyte_may(
    valkey: ValkeyServer, key_prefix: str, provider: str
) -> None:
    assert await status(valkey, key_prefix, provider, 1_400_000) == 202


def test_other_providers_keep_the_limit_of_a_mebibyte() -> None:
    limits = {name: provider.body_bytes_max for name, provider in PROVIDERS.items()}
    assert limits == {name: BODY_BYTES_LARGE if name in LARGE else BODY_BYTES_DEFAULT for name in PROVIDERS}


async def test_the_limit_of_an_operator_holds_for_every_provider(valkey: ValkeyServer, key_prefix: str) -> None:
    assert await status(valkey, key_prefix, "shopify", 1_400_000, body_bytes_max=BODY_BYTES_DEFAULT) == 413
    assert await status(valkey, key_prefix, "razorpay", 1_400_000, body_bytes_max=2 * BODY_BYTES_DEFAULT) == 202


async def test_the_limit_of_a_source_comes_before_both(valkey: ValkeyServer, key_prefix: str) -> None:
    small, more = 500_000, 2 * BODY_BYTES_DEFAULT
    assert await status(valkey, key_prefix, "shopify", 600_000, own={"body_bytes_max": small}) == 413
    assert await status(valkey, key_prefix, "razorpay", 1_400_000, own={"body_bytes_max": more}) == 202
    assert (
        await status(valkey, key_prefix, "paystack", 1_400_000, own={"body_bytes_max": more}, body_bytes_max=2048)
        == 202
    )


async def test_the_api_page_says_each_sources_limit(
    valkey: ValkeyServer, key_prefix: str, aiohttp_client: AiohttpClient
) -> None:
    sources = {"a": CASES["shopify"].source(), "b": CASES["razorpay"].source(body_bytes_max=4096)}
    async with running(valkey.url, key_prefix, providers=sources) as gateway:
        client = await aiohttp_client(gateway.gateway.operators_application)
        paths = (await (await client.get("/openapi.json")).json())["paths"]
    for path, limit in (("/webhooks/a", BODY_BYTES_LARGE), ("/webhooks/b", 4096)):
        assert f"at most {limit}," in paths[path]["post"]["requestBody"]["description"]
