"""The frame of every request: its connection knows that it is handled, and when its answer is the last one."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.connection import Connection
from gateway.metrics import Metrics
from gateway.problem import retry_later

log = structlog.get_logger()


class Lifecycle:
    """Calls around a handler. `wrap` makes them; the endpoint of a source, where each call counts, has them itself."""

    def __init__(self, metrics: Metrics, retry_after_s: int) -> None:
        self._metrics = metrics
        self._retry_after_s = retry_after_s
        self.is_draining = False
        """Whether the gateway is being stopped: each answer is the last one of its connection."""

    def begin(self, request: web.Request) -> Connection | None:
        """Note that a handler works on this request from now on. Return its connection, for `end`."""
        connection = request.transport
        if isinstance(connection, Connection):
            connection.begin()
            return connection
        return None

    def end(self, request: web.Request, response: web.StreamResponse, connection: Connection | None) -> None:
        """End the connection with this answer where no further request can follow it."""
        is_kept_alive = request.keep_alive
        if connection is not None:
            if self.is_draining or not is_kept_alive:
                connection.is_last_request = True
            if connection.is_last_request:
                response.force_close()
            connection.finish()
        if not is_kept_alive:
            response.headers["Connection"] = "close"  # aiohttp leaves it out for HTTP/1.0

    def wrap(self, handler: Handler) -> Handler:
        """Return a handler that answers every request, whatever happens in it."""

        async def answer(request: web.Request) -> web.StreamResponse:
            connection = self.begin(request)
            try:
                response = await handler(request)
            except Exception:
                self._metrics.internal_error()
                log.exception("a bug: the client is asked to retry")
                response = retry_later(503, "The request cannot be processed now.", self._retry_after_s)
            self.end(request, response, connection)
            return response

        return answer
