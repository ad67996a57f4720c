"""TLS between a client's socket and its `Connection`, over the standard library's `ssl.MemoryBIO`.

asyncio's own TLS keeps up to 700 KB for a client that sends much, and no public name limits them. Here nothing is kept
but the state of OpenSSL: about 19 KB for each client, and up to 37 KB in a handshake or within a record. What is
decrypted goes to the `Connection` at once, which counts it.
"""

import asyncio
import contextlib
import ssl
from typing import Any, cast

from gateway.connection import Connection

COUNTS_AS = 4
"""A connection over TLS takes the place of four: OpenSSL's state is in no budget."""

SLICE_BYTES = 4096
"""What OpenSSL is given at a time. Its buffers keep the size of the largest piece that they ever held."""

RECORD_BYTES_MAX = 16 * 1024
"""What is decrypted at a time: TLS has no larger record (RFC 8446, section 5.1)."""

RECORD_HEADER_BYTES = 5
RECORD_TYPES = range(20, 24)
MAJOR_VERSION = 3
HANDSHAKE_RECORD = 22
HANDSHAKE_RECORD_BYTES_MAX = RECORD_HEADER_BYTES + RECORD_BYTES_MAX + 256
CLIENT_HELLO = 1

HELLOS_MAX = 2
"""Handshake records that may be a ClientHello: the second one answers a HelloRetryRequest (RFC 8446, section 4.1.2)."""


NOTHING = ssl.MemoryBIO()
"""What a connection that is lost has left."""


class HelloError(Exception):
    """A handshake record that no usual client sends."""


class HelloGuard:
    """Cuts a client's handshake into records, and refuses a ClientHello that is not in one record.

    OpenSSL reserves as many bytes as a ClientHello says it has, up to 131,396, when it has read the first four.
    """

    __slots__ = ("_buffer", "_handshake_records")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._handshake_records = 0

    def add(self, data: bytes) -> None:
        """Keep what has arrived."""
        self._buffer += data

    def rest(self) -> bytes:
        """Take all that is left, once the handshake is done."""
        rest = bytes(self._buffer)
        self._buffer = bytearray()
        return rest

    def next(self) -> bytes | None:
        """Take the next record, None where it is not whole yet. Raise HelloError."""
        buffer = self._buffer
        if len(buffer) < RECORD_HEADER_BYTES:
            return None
        record_bytes = RECORD_HEADER_BYTES + int.from_bytes(buffer[3:RECORD_HEADER_BYTES])
        if buffer[0] not in RECORD_TYPES or buffer[1] != MAJOR_VERSION or record_bytes > HANDSHAKE_RECORD_BYTES_MAX:
            raise HelloError
        if len(buffer) < record_bytes:
            return None
        record = bytes(buffer[:record_bytes])
        del buffer[:record_bytes]
        if record[0] == HANDSHAKE_RECORD and self._handshake_records < HELLOS_MAX:
            self._handshake_records += 1
            message = record[RECORD_HEADER_BYTES:]
            if message[:1] in (b"", bytes((CLIENT_HELLO,))) and int.from_bytes(message[1:4]) + 4 > len(message):
                raise HelloError
        return record


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """The protocol of a client's socket, and the transport of its `Connection`.

    Each side can be closed alone, as without TLS.
    """

    __slots__ = (
        "_connection", "_context", "_guard", "_incoming", "_is_dropping", "_is_encrypted", "_is_held_up", "_is_paused",
        "_outgoing", "_tls", "_transport",
    )  # fmt: skip

    _transport: asyncio.Transport
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        super().__init__()
        self._connection = connection
        self._context = context
        self._guard: HelloGuard | None = HelloGuard()
        self._tls: ssl.SSLObject | None = None  # made when the client begins: silent ones cost nothing
        self._is_encrypted = False  # once the handshake is done
        self._is_dropping = False  # nothing more is read
        self._is_held_up = False  # the client does not read
        self._is_paused = False  # the connection does not read

    # --- asyncio's protocol: called by the socket's transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake, or close the connection where there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._connection.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or decrypt what has arrived."""
        if self._is_dropping:
            return
        try:
            if self._guard is None:
                self._decrypt(data)
            else:
                self._shake_hands(data, self._guard)
        except (ssl.SSLError, HelloError):
            self._fail()

    def eof_received(self) -> bool:
        """Let the connection answer what has arrived. How the client ends TLS does not matter: HTTP has lengths."""
        if self._is_encrypted:
            return bool(self._connection.eof_received())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if not self._is_encrypted:
            self._connection.handshake_failed()
        self._is_dropping = True
        self._connection.connection_lost(exc)
        # OpenSSL's state goes now: the collector of Python's cycles comes late, and knows nothing of its size.
        self._guard = self._tls = None
        self._incoming = self._outgoing = NOTHING

    def pause_writing(self) -> None:
        """The client does not read: what it sends must not be answered meanwhile, by OpenSSL neither."""
        self._is_held_up = True
        self._transport.pause_reading()
        if self._is_encrypted:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_held_up = False
        self._read_on()
        if self._is_encrypted:
            self._connection.resume_writing()

    # --- asyncio's transport: called by the connection

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- asyncio's own
        """Return what asyncio knows of the socket, and the context."""
        return self._context if name == "sslcontext" else self._transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the connection stops writing."""
        self._transport.set_write_buffer_limits(high, low)

    def is_closing(self) -> bool:
        """Return whether the connection ends."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Read nothing more; what was read is still decrypted."""
        self._is_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._is_paused = False
        self._read_on()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send an answer. Before the handshake nothing can be sent."""
        if not self._is_encrypted or self._tls is None:
            return
        view = memoryview(data)
        try:
            for start in range(0, len(view), SLICE_BYTES):
                self._tls.write(view[start : start + SLICE_BYTES])
                self._flush()
        except ssl.SSLError:  # TLS has failed before, in what the client sent
            self.abort()

    def write_eof(self) -> None:
        """End our side. What the client still sends is dropped, without being decrypted."""
        self._say_goodbye()
        self._transport.write_eof()

    def close(self) -> None:
        """End the connection once all is sent."""
        self._say_goodbye()
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._is_dropping = True
        self._transport.abort()

    # --- TLS

    def _shake_hands(self, data: bytes, guard: HelloGuard) -> None:
        guard.add(data)
        while not self._is_encrypted and (record := guard.next()) is not None:
            tls = self._begun()
            self._incoming.write(record)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                self._is_encrypted = True
                self._connection.handshake_done()
            self._flush()
        if self._is_encrypted:
            self._guard = None
            self._decrypt(guard.rest())

    def _begun(self) -> ssl.SSLObject:
        if self._tls is None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        return self._tls

    def _decrypt(self, data: bytes) -> None:
        tls = self._begun()
        pieces: list[bytes] = []
        is_ended = False
        for start in range(0, len(data), SLICE_BYTES):
            self._incoming.write(data if len(data) <= SLICE_BYTES else data[start : start + SLICE_BYTES])
            is_ended = self._take(tls, pieces)
            if is_ended:
                break
        self._flush()
        if pieces:
            self._connection.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if is_ended:
            self._is_dropping = True
            if not self._connection.eof_received():
                self._transport.close()

    def _take(self, tls: ssl.SSLObject, pieces: list[bytes]) -> bool:
        """Take what can be decrypted; return whether the client has ended its side."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._incoming.pending or tls.pending():
                piece = tls.read(RECORD_BYTES_MAX)
                if not piece:
                    return True
                pieces.append(piece)
        return False

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def _fail(self) -> None:
        """End a connection whose bytes are not TLS; OpenSSL's alert says why."""
        self._is_dropping = True
        if self._tls is not None:
            self._flush()
        self._transport.close()

    def _say_goodbye(self) -> None:
        """Send the alert that ends our side, so that the client knows that the answer is whole."""
        self._is_dropping = True
        if not self._is_encrypted or self._tls is None:
            return
        with contextlib.suppress(ssl.SSLError):  # the client's own alert has not arrived
            self._tls.unwrap()
        self._flush()

    def _read_on(self) -> None:
        if not (self._is_held_up or self._is_paused or self._transport.is_closing()):
            self._transport.resume_reading()
