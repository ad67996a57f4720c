"""Reading a request's bytes within limits of size and time."""

import asyncio
from dataclasses import dataclass

from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from providers.base import Headers

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RefusedError(Exception):
    """A request that is not even verified. `reason` is for the metric, `detail` for the sender."""

    def __init__(self, status: int, reason: str, detail: str, *, headers: str = "", close: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers
        self.close = close


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The largest body, and the longest time it may take."""

    bytes_max: int
    timeout_s: float


def check_encoding(headers: Headers) -> None:
    """Refuse a compressed body: what is signed is what is read, and nothing unpacks itself in memory."""
    for value in headers.get_all("content-encoding"):
        if value.strip().lower() not in (b"", b"identity"):
            detail = "The body must be sent as it was signed, without a Content-Encoding."
            raise RefusedError(415, "content_encoding", detail, headers="Accept-Encoding: identity\r\n", close=True)


def body_at_hand(request: BaseRequest, limits: BodyLimits) -> bytes | None:
    """The body where all of it came together with the headers, as nearly all do; else None. Raises RefusedError."""
    if not request.content.is_eof():
        return None
    body = request.content.read_nowait()
    _check_size(len(body), limits)
    return body


async def read_body(request: BaseRequest, headers: Headers, limits: BodyLimits) -> bytes:
    """The exact bytes of the body. Raises RefusedError, before more than the limit is held in memory."""
    _check_size(request.content_length or 0, limits)
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _read_chunks(request, headers, limits)
    except TimeoutError:
        detail = f"The body did not arrive within {limits.timeout_s:g} s."
        raise RefusedError(408, "slow_body", detail, close=True) from None
    except (RequestPayloadError, ConnectionError):
        raise RefusedError(400, "broken_body", "The body is incomplete, or wrongly framed.", close=True) from None


async def _read_chunks(request: BaseRequest, headers: Headers, limits: BodyLimits) -> bytes:
    if any(value.lower() == b"100-continue" for value in headers.get_all("expect")):
        await request.writer.write(CONTINUE)
    chunks = bytearray()
    async for chunk in request.content.iter_any():
        _check_size(len(chunks) + len(chunk), limits)
        chunks += chunk
    return bytes(chunks)


def _check_size(size_bytes: int, limits: BodyLimits) -> None:
    if size_bytes > limits.bytes_max:
        raise RefusedError(413, "too_large", f"The body is larger than {limits.bytes_max} bytes.", close=True)
