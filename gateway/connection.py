"""One client's connection in front of aiohttp's protocol, with methods that asyncio documents and no others.

asyncio uses a `Connection` as its protocol, and aiohttp's protocol uses the same object as its transport, so that all
bytes of a client pass here in both directions. aiohttp gets one whole request at a time, and the next one after the
answer: so no answer depends on how the bytes were cut, and all that strangers keep in memory is counted here.
"""

import asyncio
from typing import cast

from gateway.client_transport import ClientTransport
from gateway.connections import Connections, Queue
from gateway.framing import FramingError, is_whole_post
from gateway.problem import last_answer
from gateway.request_reader import RequestReader

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

NO_ROOM = (503, "unverified_bytes_max", "Too many unfinished requests are kept in memory.")

UNREAD_BYTES_MAX = 4096
"""Bytes of answers that wait to be sent before the next request is looked at; one answer more may wait."""


class Connection(asyncio.Protocol, ClientTransport):
    """One client's connection: its requests are collected, handed over one by one, and answered in order.

    Malformed HTTP is answered with problem details. aiohttp has no hook for that (its issue 3287): it answers such a
    request by itself, with text. What it writes while no handler runs is that answer.
    """

    __slots__ = (
        "_connections", "_first_queue", "_is_ending", "_is_half_closed", "_is_reading", "_is_unread", "_protocol",
        "_queue", "_reader", "_under_way_bytes", "held_bytes", "is_handled", "is_last_request",
    )  # fmt: skip

    def __init__(self, connections: Connections, *, is_tls: bool = False) -> None:
        super().__init__()
        self._connections = connections
        self._first_queue = connections.handshakes if is_tls else connections.new
        self._reader = RequestReader(connections.settings, connections.body_bytes_max)
        self._protocol: asyncio.Protocol | None = None
        self._queue: Queue | None = None  # what the connection waits for; None while a request is under way
        self.held_bytes = 0  # kept for this client, as last counted
        self._under_way_bytes = 0  # of a request, from its hand-over until its answer is written
        self.is_handled = False  # while a handler of ours works on the request
        self.is_last_request = False  # no request is read after this one
        self._is_half_closed = False  # the client has ended its side
        self._is_reading = True
        self._is_unread = False  # the client reads more slowly than it is answered
        self._is_ending = False  # after the last answer: what still comes is dropped

    @property
    def droppable_bytes(self) -> int:
        """What can be forgotten: all but a request that is under way."""
        return self.held_bytes - self._under_way_bytes

    def waits_since_s(self, now_s: float) -> float:
        """Return since when the connection waits; now, where it does not."""
        return now_s if self._queue is None else self._queue.get(self, now_s)

    # --- asyncio's protocol: called by the socket's transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the client, or answer that there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=UNREAD_BYTES_MAX, low=0)
        if not self._connections.opened(self):
            self.refuse(503, "connections_max", "Too many connections are open.", lingers=False)
            return
        self._enter(self._first_queue)
        if self._connections.is_draining:
            self.abort()

    def handshake_done(self) -> None:
        """Wait for the first request: TLS is there."""
        self._enter(self._connections.new)

    def handshake_failed(self) -> None:
        """Count a client that has ended before TLS was there."""
        self._connections.on_refused(400, "tls_handshake", self.client)

    def data_received(self, data: bytes) -> None:
        """Collect a request, and hand it over once it is whole."""
        connections = self._connections
        is_waiting = self._queue is connections.idle or self._queue is connections.new
        if is_waiting and is_whole_post(data, *connections.quick_limits):
            self._hand_over(data, 0)  # as nearly always
        else:
            self._received(data)

    def _received(self, data: bytes) -> None:
        if self._is_ending:
            return
        self._reader.add(data)
        if self._under_way_bytes or self._is_unread:
            self._stop_reading()
            self._connections.hold(self, self.held_bytes + len(data))
        else:
            self._advance()

    def eof_received(self) -> bool:
        """Answer what the client has sent before it ended its side."""
        self._is_half_closed = True
        if self._is_ending:
            self._transport.close()
        else:
            self._advance()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, once the request that it brought is finished."""
        if self._reader:
            self._connections.on_refused(400, "broken_body", self.client)
        self._is_ending = True
        if not self.is_handled:
            self._forget()
        if self._protocol is not None:
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self._is_unread = True
        if not self._under_way_bytes:
            self._enter(self._connections.unread)
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_unread = False
        if self._protocol is not None:
            self._protocol.resume_writing()
        if self._is_ending:
            self._enter(self._connections.ending)
        elif not self._under_way_bytes:
            self._go_on()

    # --- asyncio's transport: called by aiohttp's protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send an answer, which aiohttp writes as a whole."""
        if self.is_handled:
            self._transport.write(data)
            self._answered()
        elif not self._is_ending:
            self.refuse(400, "malformed_http", "This is not well-formed HTTP/1.1.")

    def is_closing(self) -> bool:
        """Return whether the connection ends."""
        return self._is_ending or self._transport.is_closing()

    def close(self) -> None:
        """End the connection once all is sent."""
        if not self._is_ending:
            self._end(lingers=False)

    def abort(self) -> None:
        """End the connection now."""
        self._is_ending = True
        self._transport.abort()

    # --- a request arrives

    def _advance(self) -> None:
        """Hand over the next request where it is whole, else wait for the rest of it."""
        if self._is_ending or self._under_way_bytes or self._is_unread:
            return
        try:
            request = self._reader.next()
        except FramingError as error:
            self.refuse(error.status, error.reason, error.detail)
            return
        if request is not None:
            self._hand_over(request, self._reader.held_bytes)
        else:
            self._await_more()

    def _await_more(self) -> None:
        """Wait for the rest of a request, or for the next one; end where the client has nothing more to send."""
        connections = self._connections
        if self._is_half_closed:
            if self._reader:
                self.refuse(400, "broken_body", "The request is incomplete.")
            else:
                self._end()
            return
        if self._reader.is_in_body:
            if self._queue is not connections.bodies:
                self._enter(connections.bodies)
                if self._reader.expects_continue:
                    self._transport.write(CONTINUE)
        elif self._reader:
            if self._queue is not connections.heads:
                self._enter(connections.heads)
        elif self._queue is None or self._queue is connections.unread:
            self._enter(connections.idle)
        connections.hold(self, self._reader.held_bytes)
        self._read_on()

    def _stop_reading(self) -> None:
        self._is_reading = False
        self._transport.pause_reading()

    def _read_on(self) -> None:
        if not (self._is_reading or self._transport.is_closing()):
            self._is_reading = True
            self._transport.resume_reading()

    def _hand_over(self, request: bytes, other_bytes: int) -> None:
        """Give aiohttp one whole request; `other_bytes` are kept besides it."""
        connections = self._connections
        if self._queue is not None:
            self._queue.pop(self, None)
            self._queue = None
        self._under_way_bytes = len(request)
        if not connections.hold(self, self._under_way_bytes + other_bytes):
            self.refuse(*NO_ROOM)
            return
        if self._protocol is None:
            self._protocol = connections.make_protocol()
            self._protocol.connection_made(self)
        self._protocol.data_received(request)

    # --- it is answered

    def begin(self) -> None:
        """A handler works on the request from now on."""
        self.is_handled = True

    def finish(self) -> None:
        """The handler has its answer. Where the client is gone, it will not be written."""
        if self._is_ending and self.is_handled:
            self.is_handled = False
            self._forget()

    def give_way(self) -> None:
        """Drop what is kept for this client: there is too much for all of them."""
        if self._under_way_bytes:
            self.is_last_request = True
            self._connections.hold(self, self._under_way_bytes)
            self._reader.clear()
        else:
            self.refuse(*NO_ROOM)

    def _answered(self) -> None:
        request_bytes, self._under_way_bytes, self.is_handled = self._under_way_bytes, 0, False
        self._connections.hold(self, self.held_bytes - request_bytes)
        if self.is_last_request:
            self._end()
        elif self._is_unread:
            self._enter(self._connections.unread)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Turn to the next request, in the loop's next turn where it is there already."""
        if self.held_bytes or self._is_half_closed or not self._is_reading:
            asyncio.get_running_loop().call_soon(self._advance)
        else:
            self._enter(self._connections.idle)

    def refuse(self, status: int, reason: str, detail: str, *, lingers: bool = True) -> None:
        """Answer without aiohttp, and end the connection."""
        self._connections.on_refused(status, reason, self.client)
        self._transport.write(last_answer(status, detail, self._connections.settings.retry_after_s))
        self._end(lingers=lingers)

    def _end(self, *, lingers: bool = True) -> None:
        """End our side, and drop what still comes: a client that is cut off while it sends may not read the answer."""
        self._is_ending = True
        self._under_way_bytes = 0
        self._drop()
        if self._is_half_closed or not lingers:
            self._enter(None)
            self._transport.close()
            return
        self._transport.write_eof()
        self._enter(self._connections.unread if self._is_unread else self._connections.ending)
        self._read_on()

    def _drop(self) -> None:
        self._reader.clear()
        self._connections.hold(self, 0)

    def _forget(self) -> None:
        self._drop()
        self._enter(None)
        self._connections.closed(self)

    def _enter(self, queue: Queue | None) -> None:
        """Wait for something else from now on."""
        if self._queue is not None:
            self._queue.pop(self, None)
        self._queue = queue
        if queue is not None:
            queue.add(self)
