"""aiohttp's HTTP protocol with our limits: malformed requests get a problem+json, too many connections a 503."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway.problem import problem, retry_later

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
    b"Retry-After: %d\r\nConnection: close\r\n\r\n%b"
)
TURNED_AWAY_BODY = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"Too many connections are open."}'
)


_HANDLING = RequestHandler._handle_request.__code__
"""Looked at, never called."""


class Connection(RequestHandler):
    """One client. Requests that cannot be parsed are answered here; the others by the server's handler."""

    __slots__ = ()

    def handle_error(
        self,
        request: "BaseRequest",
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- quotes the client's bytes, so nobody gets to see it
    ) -> web.StreamResponse:
        """Called for malformed HTTP (400), and for exceptions nothing else has caught."""
        server = cast("Server", self._manager)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already; the connection is closed") from exc
        if status >= 500:
            server.on_error(exc)
            return retry_later(503, "The request cannot be processed now.", server.retry_after_s)
        if isinstance(exc, LineTooLong):
            response = problem(431, "The request line or a header is too long.", close=True)
        else:
            response = problem(400, "This is not well-formed HTTP/1.1.", close=True)
        server.on_malformed(response.status, "malformed_http", request.remote)
        return response

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp asks for this after each read of a body, whether anything was paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    @property
    def ends(self) -> bool:
        """Whether no further request will be read from this client."""
        return self._manager is None or cast("Server", self._manager).draining

    @property
    def is_idle(self) -> bool:
        """Between two requests, as far as the client's bytes have been read."""
        return self._current_request is None and not self._messages


class TurnedAway(asyncio.Protocol):
    """A client for whom there is no place: it is told so, and the connection ends."""

    def __init__(self, retry_after_s: int) -> None:
        self._answer = TURNED_AWAY % (len(TURNED_AWAY_BODY), retry_after_s, TURNED_AWAY_BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer without reading: nothing of it is kept."""
        open_transport = cast("asyncio.Transport", transport)
        open_transport.write(self._answer)
        open_transport.close()


class Server(web.Server):
    """Makes a protocol for each accepted connection."""

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        connections_max: int,
        retry_after_s: int,
        on_malformed: Callable[[int, str, str | None], None],
        on_error: Callable[[BaseException | None], None],
        on_connections: Callable[[int], None],
        **options: Any,  # noqa: ANN401 -- aiohttp's own
    ) -> None:
        super().__init__(handler, handler_cancellation=False, **options)
        self.draining = False
        self.retry_after_s = retry_after_s
        self.on_malformed = on_malformed
        self.on_error = on_error
        self._on_connections = on_connections
        self._connections_max = connections_max
        self._open = 0

    def __call__(self) -> RequestHandler:
        """The protocol of one more connection."""
        if len(self._connections) >= self._connections_max:
            self.on_malformed(503, "connections_max", None)
            return cast("RequestHandler", TurnedAway(self.retry_after_s))
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """One more client."""
        super().connection_made(handler, transport)
        self._open += 1
        self._on_connections(self._open)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """One client less. What it has sent is finished all the same."""
        super().connection_lost(handler, exc)
        self._open -= 1
        self._on_connections(self._open)

    def drain(self) -> int:
        """End the connections that are idle now; the others end with their next answer. How many those are."""
        self.draining = True
        busy = 0
        for connection in self.connections:
            if cast("Connection", connection).is_idle:
                connection.force_close()
            else:
                busy += 1
        return busy


def within_the_connection(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **options: Any,  # noqa: ANN401 -- asyncio's own
) -> asyncio.Future[Any]:
    """A task factory for Python 3.11, where aiohttp makes a task for each request and its connection's task does
    nothing but await that: here it awaits the request's coroutine itself. From 3.12 on aiohttp's tasks start eagerly.
    """
    if getattr(coro, "cr_code", None) is _HANDLING:
        return cast("asyncio.Future[Any]", coro)
    return asyncio.Task(coro, loop=loop, **options)
