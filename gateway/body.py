"""A request's body, within its limits."""

from collections.abc import Mapping

from aiohttp import web

from gateway.settings import Settings
from providers.base import Headers, Provider

BROKEN_BODY = (400, "broken_body", "The request is incomplete.")


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


def received_body(request: web.Request, bytes_max: int) -> bytes:
    """Return the exact bytes of the body. `Connection` gives whole requests only. Raise RefusedError."""
    try:
        body = request.content.read_nowait()
    except web.RequestPayloadError:
        raise RefusedError(*BROKEN_BODY) from None
    if len(body) > bytes_max:
        raise RefusedError(413, "too_large", f"The body is larger than {bytes_max} bytes.")
    return body
