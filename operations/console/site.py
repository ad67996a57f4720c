"""What every page of the console shares, and the keys under which aiohttp keeps it."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jinja2
from aiohttp import web
from redis.asyncio import Redis

from operations.console.access import Viewer
from operations.console.connections import Connections
from operations.console.sessions import Attempts, Sessions
from operations.console.settings import Settings
from operations.reader import Reader
from operations.servers import Servers

if TYPE_CHECKING:
    from sql.connect import Connection

CONNECTIONS_MAX = 4
"""Postgres connections of the console. A page waits for one of them."""

PAGE_TIMEOUT_S = 10.0
"""The limit for the queries of one page."""

_PORT = re.compile(r":([0-9]{1,5})$", re.ASCII)

CHECKS_MAX = 2
"""Passwords that are checked at a time: each takes 16 MiB and a core."""


@dataclass(frozen=True, slots=True)
class Site:
    """The servers, the settings, who is signed in, the templates, and who is connected."""

    servers: Servers
    settings: Settings
    sessions: Sessions
    templates: jinja2.Environment
    connections: Connections
    attempts: Attempts = field(default_factory=Attempts)
    checking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CHECKS_MAX))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """What digests are made with, for as long as this process lives."""
    auditing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an audit runs: one at a time."""
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS_MAX))

    @asynccontextmanager
    async def postgres(self, timeout_s: float = PAGE_TIMEOUT_S) -> AsyncIterator["Connection"]:
        """Open a connection for one page or act. Raise UnreachableError."""
        async with self._turns, self.servers.postgres(timeout_s) as connection:
            yield connection

    def turn(self) -> asyncio.Semaphore:
        """Return what is held while a page has a connection to Postgres."""
        return self._turns

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Open a client for one page or act. Raise UnreachableError."""
        async with self.servers.redis() as redis:
            yield redis


@dataclass(frozen=True, slots=True)
class Reading:
    """What a page reads with that confirms no act: a replica where there is one, within the same number of turns."""

    site: Site
    servers: Reader

    @asynccontextmanager
    async def postgres(self, timeout_s: float = PAGE_TIMEOUT_S) -> AsyncIterator["Connection"]:
        """Open a connection for one page. Raise UnreachableError."""
        async with self.site.turn(), self.servers.postgres(timeout_s) as connection:
            yield connection

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Open a client for one page. Raise UnreachableError."""
        async with self.servers.redis() as redis:
            yield redis


SITE: web.AppKey[Site] = web.AppKey("site", Site)
VIEWER: web.RequestKey[Viewer] = web.RequestKey("viewer", Viewer)
READING: web.RequestKey[Reading] = web.RequestKey("reading", Reading)


def reading(request: web.Request, *, complete: bool = False) -> Reading:
    """Return what this page reads with, whose notes it then shows. `complete`: see `Reader`."""
    site = request.app[SITE]
    if READING not in request:
        request[READING] = Reading(site, Reader(site.servers, complete=complete))
    return request[READING]


def cookie_name(host: str) -> str:
    """Return the name of the cookie for a `Host` header. Cookies ignore the port, and two consoles of a host are two.

    It is the port that browsers see: in a container, or behind a proxy, the console's own is another.
    """
    port = _PORT.search(host)
    return f"payments_console_{port[1]}" if port else "payments_console"
