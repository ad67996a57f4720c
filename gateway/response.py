"""A complete HTTP response, written in one piece."""

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from gateway.server import Connection

JSON = "application/json"

READING_TIMEOUT_S = 30.0
"""How long a client may leave more unread than its connection's buffers hold, before it is cut off."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def phrase(status: int) -> str:
    """The status in words; a few senders insist on one that is in no list, such as 498."""
    return _PHRASES.get(status, "Refused")


class Response(web.StreamResponse):
    """Status, headers and body, known before the first byte is written.

    The parent's constructor is not called, and its header dictionary never made: that alone costs more than verifying
    a signature. What aiohttp's protocol asks of a response is below. `headers` are further lines, each ending in CRLF.
    """

    def __init__(
        self, status: int, body: bytes, content_type: str = JSON, *, headers: str = "", close: bool = False
    ) -> None:
        self._code = status
        self._content = body
        self._content_type_text = content_type
        self._header_lines = headers
        self._closes = close

    @property
    def status(self) -> int:
        """The status code."""
        return self._code

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return not self._closes

    async def prepare(self, request: "BaseRequest") -> AbstractStreamWriter | None:
        """Write all of it. Raises ConnectionError where the client is gone, or does not read what it asked for."""
        client = cast("Connection", request.protocol)
        self._closes = self._closes or not request.keep_alive or client.ends
        if self._closes:
            connection = "Connection: close\r\n"
        else:
            connection = "" if request.version.minor else "Connection: keep-alive\r\n"
        head = (
            f"HTTP/1.1 {self._code} {phrase(self._code)}\r\nContent-Type: {self._content_type_text}\r\n"
            f"Content-Length: {len(self._content)}\r\nDate: {_date()}\r\n{connection}{self._header_lines}\r\n"
        )
        # not by aiohttp's writer, which first looks for all that a streamed, chunked or compressed answer may need
        transport = client.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(head.encode() if request.method == "HEAD" else head.encode() + self._content)
        if client.writing_paused:
            await _until_read(request.writer, transport)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """All is written already."""


async def _until_read(writer: AbstractStreamWriter, transport: asyncio.Transport) -> None:
    try:
        async with asyncio.timeout(READING_TIMEOUT_S):
            await writer.drain()
    except TimeoutError:
        transport.abort()
        raise ConnectionResetError("the client does not read its answers") from None


class _Clock:
    """The Date header, made once a second."""

    second = 0
    text = ""


def _date() -> str:
    now = int(time.time())
    if now != _Clock.second:
        _Clock.second, _Clock.text = now, formatdate(now, usegmt=True)
    return _Clock.text
