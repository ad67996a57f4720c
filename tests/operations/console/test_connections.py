"""Connections of the console: strangers cannot use them up, and none waits for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from consumers.settings import Settings
from operations.console import connections
from operations.console.access import Role, Viewer
from operations.console.app import make_app
from operations.console.settings import Settings as ConsoleSettings
from operations.console.site import SITE, Site, cookie_name
from operations.servers import Servers
from tests.support.wait import until

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Port:
    """A console with few connections, and a page `/slow` that answers when the test says so."""

    address: tuple[str, int]
    site: Site
    stack: AsyncExitStack
    begun: int = 0
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self) -> Wire:
        reader, writer = await asyncio.open_connection(*self.address)
        self.stack.callback(writer.close)
        return reader, writer

    async def ask(self, wire: Wire, path: str, *, signed_in: bool = False) -> None:
        token = self.site.sessions.begin(Viewer("vera", frozenset({Role.VIEWER}))) if signed_in else ""
        cookie = f"{cookie_name('localhost')}={token}"
        wire[1].write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())


@asynccontextmanager
async def open_port(settings: Settings, connections_max: int) -> AsyncIterator[Port]:
    own = ConsoleSettings.model_validate({"console_connections_max": connections_max, "log_level": "INFO"})
    app = make_app(Servers(settings), own)

    async def slow(_: web.Request) -> web.Response:
        port.begun += 1
        await port.goes_on.wait()
        return web.Response(text="done")

    app.router.add_get("/slow", slow)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        port = Port(listening.getsockname(), app[SITE], stack)
        await stack.enter_async_context(app[SITE].connections.answering(runner, listening))
        yield port
        port.goes_on.set()


async def is_closed(wire: Wire) -> bool:
    try:
        return await asyncio.wait_for(wire[0].read(1), 10) == b""
    except ConnectionError:
        return True


async def test_who_waits_longest_gives_way_and_a_request_that_is_answered_does_not(settings: Settings) -> None:
    async with open_port(settings, 3) as port:
        working = await port.connect()
        await port.ask(working, "/slow", signed_in=True)
        await begun(port, 1)
        first, second = await port.connect(), await port.connect()
        first[1].write(b"GET / HTTP/1.1\r\nHost: loc")  # a stranger who never ends
        third = await port.connect()
        await port.ask(third, "/healthz")
        assert b"200 OK" in await asyncio.wait_for(third[0].readline(), 10)
        assert await is_closed(first)
        await port.ask(second, "/healthz")
        assert b"200 OK" in await asyncio.wait_for(second[0].readline(), 10)
        port.goes_on.set()
        assert b"200 OK" in await asyncio.wait_for(working[0].readline(), 10)


async def test_where_all_are_answered_one_more_is_closed_at_once(settings: Settings) -> None:
    async with open_port(settings, 2) as port:
        for number in range(2):
            await port.ask(await port.connect(), "/slow", signed_in=True)
            await begun(port, number + 1)
        assert await is_closed(await port.connect())


async def test_a_stranger_gives_way_before_somebody_who_is_signed_in(settings: Settings) -> None:
    async with open_port(settings, 2) as port:
        known = await port.connect()
        port.goes_on.set()
        await port.ask(known, "/slow", signed_in=True)
        await asyncio.wait_for(known[0].readuntil(b"done"), 10)
        strangers = [await port.connect() for _ in range(4)]
        assert [await is_closed(each) for each in strangers[:3]] == [True] * 3
        await port.ask(known, "/slow", signed_in=True)
        assert b"200 OK" in await asyncio.wait_for(known[0].readline(), 10)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET / HTTP/1.1\r\nHost: loc",
        (
            "POST /sign-in HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na=b"
        ),
    ],
)
async def test_what_does_not_end_is_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.2)
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.05)
    async with open_port(settings, 9) as port:
        wire = await port.connect()
        wire[1].write(sent.encode())
        assert await is_closed(wire)


async def begun(port: Port, number: int) -> None:
    async def reached() -> bool:
        return port.begun >= number

    await until(reached, what=f"{number} slow requests are answered")
