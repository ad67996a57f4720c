"""The base of every stand-in: an HTTP server on loopback that answers as documented, and misbehaves when asked to."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

Mishap = Callable[[web.Request], web.StreamResponse]
"""What happens instead of the answer. None: the answer comes as ever."""


@dataclass(slots=True)
class Seen:
    """A request that was received."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class StandIn(ABC):
    """A provider's API. A subclass adds its routes to `self.app` in `__init__`.

    `mishaps` are used up one by one, by the requests as they come. `requests` are those received, also refused ones.
    """

    def __init__(self) -> None:
        self.app = web.Application(middlewares=[self._around], client_max_size=2**26)
        self.mishaps: deque[Mishap | None] = deque()
        self.requests: list[Seen] = []
        self.gate = asyncio.Event()
        """Answers wait while it is clear."""
        self.gate.set()
        self.url = ""

    @web.middleware
    async def _around(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(Seen(request.method, request.path, dict(request.query), dict(request.headers), body))
        await self.gate.wait()
        mishap = self.mishaps.popleft() if self.mishaps else None
        if mishap is not None:
            return mishap(request)
        if (refusal := self.refusal(request)) is not None:
            return refusal
        return await handler(request)

    @abstractmethod
    def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer to wrong credentials, None for right ones."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve on a free port; `url` is its address."""
        runner = web.AppRunner(self.app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


def status(code: int, body: object = None, **headers: str) -> Mishap:
    """Answer with a status instead. Names of headers are written with _ for -."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.json_response(body if body is not None else {"error": "mishap"}, status=code, headers=names)


def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def text(body: bytes, content_type: str = "application/json") -> Mishap:
    """Answer 200 with these bytes instead."""
    return lambda _: web.Response(body=body, content_type=content_type)


def moved(address: str) -> Mishap:
    """Answer with a redirect instead."""
    return lambda _: web.Response(status=302, headers={"Location": address})
