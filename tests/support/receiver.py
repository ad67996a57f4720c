"""A receiver of notifications: a real HTTP server that verifies each with the reference library."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import standardwebhooks
from aiohttp import web
from aiohttp.test_utils import TestServer

NOTIFY_SECRET = "whsec_bm90aWZ5LXNlY3JldC1vZi1hLXRlc3QtMDEyMzQ1Njc="
SECRET_PATH = "/services/T0HUSH/B0HUSH"
SECRET_QUERY = "token=qhush"

Answer = Callable[[], web.StreamResponse]


@dataclass
class Receiver:
    """What arrived. `answer` makes the next answers; while `gate` is closed, nothing is answered."""

    url: str = ""
    ids: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Those that were answered 2xx."""
    answer: Answer = field(default=lambda: web.Response(status=204))
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        message = standardwebhooks.Webhook(NOTIFY_SECRET).verify(body, dict(request.headers))
        assert message == json.loads(body)
        assert (request.path, request.query_string) == (SECRET_PATH, SECRET_QUERY)
        self.ids.append(request.headers["webhook-id"])
        await self.gate.wait()
        answer = self.answer()
        if answer.status < 300:
            self.messages.append(message)
        return answer

    @property
    def heard(self) -> list[tuple[str, str, int]]:
        """Type, state and count of each message that was accepted."""
        return [(each["type"], each["data"]["state"], each["data"]["count"]) for each in self.messages]


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver for the length of a block, over HTTPS if asked to."""
    receiver = Receiver()
    receiver.gate.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    server = TestServer(app, host="127.0.0.1", scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        receiver.url = str(server.make_url(f"{SECRET_PATH}?{SECRET_QUERY}"))
        yield receiver
    finally:
        receiver.gate.set()
        await server.close()
