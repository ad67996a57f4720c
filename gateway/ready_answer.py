"""The answer to a webhook, written at once.

`web.Response` is the general answer: it looks for cookies, compression, chunks and signals, and serializes a header
dictionary. That is a tenth of what a webhook costs the gateway. Here the usual case is done with two public methods of
aiohttp's response, `prepare` and `write_eof`; every other case is left to the parent. To do without, return the parent.
"""

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from gateway.problem import JSON_HEADERS, phrase


class ReadyAnswer(web.Response):
    """A JSON answer with no headers of its own, on a connection that stays open."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status=status, body=body, headers=JSON_HEADERS)
        self._ready_body = body
        self._is_sent = False

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection may carry another request."""
        return True if self._is_sent else super().keep_alive

    @property
    def body_length(self) -> int:
        """How many bytes were sent."""
        return len(self._ready_body) if self._is_sent else super().body_length

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it, where the client speaks HTTP/1.1 and no side wants to close; else prepare as usual."""
        transport = request.transport
        is_last = super().keep_alive is False or not request.keep_alive
        if is_last or request.version != HttpVersion11 or transport is None or transport.is_closing():
            return await super().prepare(request)
        self._is_sent = True
        transport.write(_head(self.status, int(time.time()), len(self._ready_body)) + self._ready_body)
        await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Finish the answer."""
        if not self._is_sent:
            await super().write_eof(data)


@lru_cache(maxsize=256)
def _head(status: int, now_s: int, length: int) -> bytes:
    """Return the status line and headers; within a second nearly all answers have the same."""
    headers = [*JSON_HEADERS.items(), ("Content-Length", str(length)), ("Date", formatdate(now_s, usegmt=True))]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {phrase(status)}\r\n{lines}\r\n".encode()
