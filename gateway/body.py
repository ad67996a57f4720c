"""Reading a request's body within limits of size and time."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from gateway.connection import CONTINUE, Connection
from gateway.settings import Settings
from providers.base import Headers, Provider

BROKEN_BODY = (400, "broken_body", "The body is incomplete, or wrongly framed.")


class RefusedError(Exception):
    """A request that is answered before it is verified. `reason` is for the metric, `detail` for the sender."""

    def __init__(self, status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers or {}


def check_encoding(headers: Headers) -> None:
    """Refuse a compressed body: the signature covers the bytes as sent, and nothing may unpack itself in memory."""
    for value in headers.get_all("content-encoding"):
        if value.strip().lower() not in (b"", b"identity"):
            detail = "The body must be sent as it was signed, without a Content-Encoding."
            raise RefusedError(415, "content_encoding", detail, {"Accept-Encoding": "identity"})


def largest_body_bytes(provider: Provider, settings: Settings) -> int:
    """Return the limit of one source: its own, else what the operator set for all, else what its provider needs."""
    own = provider.settings.body_bytes_max
    if own is not None:
        return own
    return settings.body_bytes_max if "body_bytes_max" in settings.model_fields_set else provider.body_bytes_max


def body_received(request: web.Request, bytes_max: int) -> bytes | None:
    """Return the body where all of it came with the headers, as nearly all do; else None. Raise RefusedError."""
    if not request.content.is_eof():
        return None
    try:
        body = request.content.read_nowait()
    except web.RequestPayloadError:
        raise RefusedError(*BROKEN_BODY) from None
    _check_size(len(body), bytes_max)
    return body


async def read_body(request: web.Request, headers: Headers, settings: Settings, bytes_max: int) -> bytes:
    """Return the exact bytes of the body. Raise RefusedError, before more than the limit is held in memory."""
    _check_size(request.content_length or 0, bytes_max)
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await _read_chunks(request, headers, bytes_max)
    except TimeoutError:
        detail = f"The body did not arrive within {settings.body_timeout_s:g} s."
        raise RefusedError(408, "slow_body", detail) from None
    except (web.RequestPayloadError, ConnectionError):
        raise RefusedError(*BROKEN_BODY) from None


async def _read_chunks(request: web.Request, headers: Headers, bytes_max: int) -> bytes:
    connection = Connection.of(request)
    if connection is None or connection.is_half_closed:
        raise ConnectionError("the client has ended its side in the middle of the body")
    connection.awaits_body = True
    if any(value.lower() == b"100-continue" for value in headers.get_all("expect")):
        connection.write(CONTINUE)
    chunks = bytearray()
    async for chunk in request.content.iter_any():
        _check_size(len(chunks) + len(chunk), bytes_max)
        chunks += chunk
    connection.awaits_body = False
    return bytes(chunks)


def _check_size(size_bytes: int, bytes_max: int) -> None:
    if size_bytes > bytes_max:
        raise RefusedError(413, "too_large", f"The body is larger than {bytes_max} bytes.")
