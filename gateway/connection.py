"""The limits that aiohttp does not have, in front of its protocol, with methods that asyncio documents and no others.

asyncio uses a `Connection` as its protocol, and aiohttp's protocol uses the same object as its transport, so that all
bytes of a client pass here in both directions.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Self, cast

from aiohttp import web
from pydantic_core import to_json

from gateway.problem import PROBLEM_JSON, problem_details
from gateway.settings import Settings

HEADERS_END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

BLANK_LINES = b"\r\n"
"""They mean nothing in front of a request."""

SPACE = 0x20

RAW_ANSWER = (
    "HTTP/1.1 {status} {title}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{headers}"
    "Connection: close\r\n\r\n"
)

OnRefused = Callable[[int, str, str | None], None]
"""Called with the status, the reason for the metric, and the client's address."""


class Connection(asyncio.Protocol, asyncio.Transport):
    """One client's connection, and its limits.

    * The headers of a request must be complete within HEADERS_TIMEOUT_S of their first byte and HEADERS_BYTES_MAX.
    * A client that does not read its answers is cut off after UNREAD_TIMEOUT_S.
    * A client that ends its side of the connection after a complete request still gets the answer.
    * Malformed HTTP is answered with problem details. aiohttp has no hook for that (its issue 3287): it answers such a
      request by itself, with text. What it writes while no handler runs is that answer.
    """

    __slots__ = (
        "_connections", "_head", "_protocol", "_timer", "_transport", "_unread_timer", "awaits_body", "is_half_closed",
        "is_handled", "is_in_request", "is_last_request",
    )  # fmt: skip

    _protocol: asyncio.Protocol
    _transport: asyncio.Transport

    def __init__(self, connections: "Connections") -> None:
        super().__init__()
        self._connections = connections
        self._head = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self.is_in_request = False
        """From the end of the headers until the answer is written."""
        self.is_handled = False
        """While a handler of ours works on the request."""
        self.awaits_body = False
        """While a handler waits for more of the body."""
        self.is_last_request = False
        """Whether aiohttp ends the connection after this answer, and drops what is still arriving."""
        self.is_half_closed = False
        """Whether the client has ended its side."""

    @classmethod
    def of(cls, request: web.BaseRequest) -> Self | None:
        """Return the connection that this request came over, None where it has ended."""
        connection = request.transport
        return connection if isinstance(connection, cls) else None

    # --- asyncio's protocol: called by the socket's transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the client, or answer that there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.opened(self):
            self._protocol = self._connections.make_protocol()
            self._protocol.connection_made(self)
            if self._connections.is_draining:
                self.close()
        else:
            self._protocol = asyncio.Protocol()
            retry_after = f"Retry-After: {self._connections.settings.retry_after_s}\r\n"
            self._refuse(503, "connections_max", "Too many connections are open.", retry_after)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on. A budget of bytes that are not verified yet would be charged here, for all connections."""
        if not self.is_in_request:
            line_bytes_max = self._connections.settings.header_line_bytes_max
            if not self._head and data[0] > SPACE and data.find(HEADERS_END, 0, line_bytes_max) > 0:
                self.is_in_request = True  # short, and all at once, as nearly always
            elif not self._headers_received(data):
                return
        self._protocol.data_received(data)

    def eof_received(self) -> bool:
        """Keep the connection until the answer, where the whole request is there; else it ends."""
        self.is_half_closed = True
        self._protocol.eof_received()
        is_plain = self._transport.get_extra_info("sslcontext") is None  # TLS has no half-closed state
        return is_plain and self.is_in_request and not self.awaits_body

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. The request that it brought is finished all the same."""
        self._stop_timer()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        self._connections.closed(self)
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self._protocol.pause_writing()
        timeout_s = self._connections.settings.unread_timeout_s
        self._unread_timer = asyncio.get_running_loop().call_later(timeout_s, self._transport.abort)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        self._protocol.resume_writing()

    # --- asyncio's transport: called by aiohttp's protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send an answer, which aiohttp writes as a whole."""
        if self.is_handled:
            self._transport.write(data)
            if data is not CONTINUE:
                self._answered()
        else:
            self._refuse(400, "malformed_http", "This is not well-formed HTTP/1.1.")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send an answer that aiohttp has in parts."""
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Return whether the connection ends."""
        return self._transport.is_closing()

    def close(self) -> None:
        """End the connection once all is sent."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Read nothing more from the client for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- asyncio's own
        """Return what asyncio knows of the socket."""
        return self._transport.get_extra_info(name, default)

    # --- between the two

    def _headers_received(self, data: bytes) -> bool:
        """Look at headers that come in parts or are long; return whether they are within the limits."""
        settings = self._connections.settings
        searched = max(0, len(self._head) - len(HEADERS_END))
        self._head += data if self._head else data.lstrip(BLANK_LINES)
        if not self._head:
            return True
        end = self._head.find(HEADERS_END, searched)
        head = self._head if end < 0 else self._head[:end]
        if len(head) > settings.headers_bytes_max or (
            len(head) > settings.header_line_bytes_max
            and max(map(len, head.split(b"\r\n"))) > settings.header_line_bytes_max
        ):
            self._refuse(431, "malformed_http", "The request line or a header is too long.")
            return False
        if end >= 0:
            self._head.clear()
            self._stop_timer()
            self.is_in_request = True
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(settings.headers_timeout_s, self._transport.abort)
        return True

    def begin(self) -> None:
        """A handler works on a request from now on. Bytes collected since the last answer were its body, no headers."""
        self.is_handled = self.is_in_request = True
        if self._head:
            self._head.clear()
        if self._timer is not None:
            self._stop_timer()

    def _answered(self) -> None:
        self.is_handled = self.awaits_body = False
        self.is_in_request = self.is_last_request
        if self.is_half_closed:
            self._transport.close()

    def _refuse(self, status: int, reason: str, detail: str, headers: str = "") -> None:
        """Answer without aiohttp, and end the connection."""
        address = self._transport.get_extra_info("peername")
        self._connections.on_refused(status, reason, str(address[0]) if address else None)
        details = problem_details(status, detail)
        body = to_json(details)
        head = RAW_ANSWER.format(
            status=status, title=details["title"], content_type=PROBLEM_JSON, length=len(body), headers=headers
        )
        self._transport.write(head.encode() + body)
        self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connections:
    """All open connections of this process. Calling it makes the protocol of one more, as asyncio asks for it."""

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        settings: Settings,
        on_refused: OnRefused,
        on_count: Callable[[int], None],
    ) -> None:
        self.make_protocol = make_protocol
        self.settings = settings
        self.on_refused = on_refused
        self.is_draining = False
        self._on_count = on_count
        self._open: set[Connection] = set()
        self._all_closed = asyncio.Event()

    def __call__(self) -> Connection:
        """Return the protocol of one more connection."""
        return Connection(self)

    def opened(self, connection: Connection) -> bool:
        """Count one more connection; return False where there are too many."""
        if len(self._open) >= self.settings.connections_max:
            return False
        self._open.add(connection)
        self._on_count(len(self._open))
        return True

    def closed(self, connection: Connection) -> None:
        """Count one connection less."""
        self._open.discard(connection)
        self._on_count(len(self._open))
        if not self._open:
            self._all_closed.set()

    async def drain(self, timeout_s: float) -> bool:
        """End idle connections now and the others with their answers; return whether all have ended in time.

        aiohttp's own shutdown drops the rest of a body that is still arriving, and so the request with it.
        """
        self.is_draining = True
        for connection in list(self._open):
            if not connection.is_in_request:
                connection.close()
        try:
            async with asyncio.timeout(timeout_s):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            return False
        return True
