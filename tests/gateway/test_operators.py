"""The operators' port: it answers whatever strangers do, and a gateway works without it."""

import asyncio
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest

from stack.ports import HOST, free_port
from tests.support.gateway import Client, payment, request
from tests.support.processes import Gateway, Programs
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PAGES = ("/metrics", "/healthz", "/readyz", "/docs", "/openapi.json")


async def status(gateway: Gateway, path: str) -> int:
    """Return the status of a page on the operators' port; 0 where nobody listens."""
    try:
        async with aiohttp.ClientSession() as session, session.get(gateway.operators_url + path) as response:
            return response.status
    except aiohttp.ClientConnectorError:
        return 0


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_operators_are_answered_while_all_public_connections_are_taken(
    valkey: ValkeyServer, key_prefix: str, programs: Programs, processes: str
) -> None:
    settings = {"CONNECTIONS_MAX": "5", "GATEWAY_PROCESSES": processes}
    gateway = await programs.gateway(valkey.url, key_prefix, settings)
    begun = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    async with AsyncExitStack() as stack:
        for data in (b"", begun) * 20:
            client = await stack.enter_async_context(await Client.connect(gateway.port))
            client.writer.write(data)
        assert [await status(gateway, path) for path in PAGES] == [200] * len(PAGES)
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_webhooks_are_not_taken_there(valkey: ValkeyServer, key_prefix: str, programs: Programs) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix)
    signed = payment()
    async with await Client.connect(gateway.operators_port) as client:
        await client.send(request(signed.path, signed.body, signed.headers))
        assert (await client.answer()).status == 404


async def test_a_port_that_is_taken_stops_nothing_and_is_used_once_it_is_free(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    port = free_port()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, port))
        other.listen()
        gateway = await programs.gateway(valkey.url, key_prefix, {"GATEWAY_OPERATORS_PORT": str(port)})
        assert "the operators' port cannot be used" in gateway.log
        signed = payment()
        async with await Client.connect(gateway.port) as client:
            await client.send(request(signed.path, signed.body, signed.headers))
            assert (await client.answer()).status == 202
    gateway.operators_port = port

    async def is_there() -> bool:
        return await status(gateway, "/metrics") == 200

    await until(is_there, what="the operators' port is used")
    assert gateway.stop() == 0


async def test_nothing_listens_where_the_setting_is_0(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix, {"GATEWAY_OPERATORS_PORT": "0"})
    assert "operators are answered" not in gateway.log
    assert gateway.stop() == 0
