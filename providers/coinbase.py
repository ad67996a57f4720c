"""Coinbase Business and CDP: `X-Hook0-Signature: t=<unix s>,v0=<hex>[,h=<header names>,v1=<hex>]`, HMAC-SHA256.

Source: docs.cdp.coinbase.com, "Verify signatures", and hook0, the open-source sender behind it, whose conformance file
decides what is unclear. v0 is over `<t>.<body>`; v1 over `<t>.<h>.<values of those headers, joined by stops>.<body>`.

* If there is a v1, only v1 counts: a right v0 next to a wrong v1 is refused, or v1 would protect nothing.
* Anyone who captured a request can remove h and v1; the rest verifies as v0. So nothing is read from the headers that
  v1 covers. The event's id is in the body, or is a digest of it (a checkout's body names only the checkout).
* Moving the borders between names, values and body never leaves a body that is a JSON object.

Coinbase Commerce (`X-CC-Webhook-Signature`, retired in 2026) was a plain HMAC of the body, which `hmac` can read.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from providers import signing
from providers.base import ParsedEvent, Proof, Provider, Request, SignatureError, SourceSettings, TimedSettings
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text, read_json

HEADER = "X-Hook0-Signature"
EVENT_ID = "X-Event-Id"

COVERED_HEADERS_MAX = 16

TYPE_UNKNOWN = "unknown"

ABOUT = ("transferId", "paymentId", "orderId", "transactionId", "id")
"""Where the events of Coinbase's products name what is paid; the first one present counts."""


class _Event(Model):
    """An event of any product. Most have their fields in `data`; a checkout's has them at the top."""

    eventId: str | None = None  # noqa: N815 - Coinbase's spelling
    eventType: str = ""  # noqa: N815
    type: Any = None
    timestamp: Any = None
    updatedAt: Any = None  # noqa: N815
    createdAt: Any = None  # noqa: N815
    transactionId: Any = None  # noqa: N815
    orderId: Any = None  # noqa: N815
    id: Any = None
    data: Any = None


class Coinbase(Provider):
    """Coinbase's events, one per request."""

    name: ClassVar[str] = "coinbase"
    Source: ClassVar[type[SourceSettings]] = TimedSettings

    def __init__(self, settings: TimedSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Accept a v1, or else a v0, made with any of the secrets within the tolerance. Raise SignatureError."""
        items = _items(request.headers.get_all(HEADER))
        timestamp = _single(items, b"t")
        signed_at_s = signing.unix_s(timestamp)
        signatures = [value for key, value in items if key == b"v1"]
        if signatures:
            names = _single(items, b"h")
            message = b".".join((timestamp, names, *_covered(request, names), request.body))
        else:
            signatures = [value for key, value in items if key == b"v0"]
            message = timestamp + b"." + request.body
        if not signatures:
            raise SignatureError("malformed", f"the {HEADER} header has neither v1 nor v0")
        number = signing.signing_key(self._keys, message, signatures, signing.lower_hex)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        event_id = event.eventId or digest_id(request.body)
        named = event.type if isinstance(event.type, str) else ""
        given_id = header_text(request, EVENT_ID)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.eventType or named or TYPE_UNKNOWN,
                resource=_resource(event) or event_id,
                occurred_at=first_timestamp(
                    event.timestamp, event.updatedAt, event.createdAt, get_path(event.data, "createdAt")
                ),
                headers={EVENT_ID.lower(): given_id} if given_id else {},
            )
        ]


def _items(values: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the pairs of key and value. Repeated headers are read as one, joined by commas."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    return signing.header_pairs(values, b",")


def _single(items: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    values = [value for key, value in items if key == name]
    if len(values) != 1:
        raise SignatureError("malformed", f"the {HEADER} header has not exactly one {name.decode()}")
    return values[0]


def _covered(request: Request, names: bytes) -> Iterator[bytes]:
    """Yield the values of the headers that v1 covers. Raise SignatureError for a missing or repeated one."""
    listed = names.split(b" ", COVERED_HEADERS_MAX)
    if len(listed) > COVERED_HEADERS_MAX or not names.isascii():
        raise SignatureError("malformed", f"the {HEADER} header names too many headers, or not by ASCII names")
    if len({name.lower() for name in listed}) < len(listed):  # each would be hashed again
        raise SignatureError("malformed", f"the {HEADER} header names a header twice")
    for name in listed:
        values = request.headers.get_all(name.decode())
        if not any(values):
            raise SignatureError("missing", "a header that the signature covers is missing")
        if len(values) > 1:
            raise SignatureError("malformed", "a header that the signature covers is repeated")
        yield values[0]


def _resource(event: _Event) -> str | None:
    """Return the id of the transfer, checkout or order, so that all events of a payment are processed together."""
    inner = (get_path(event.data, name) for name in ABOUT)
    return first_id(*inner, event.transactionId, event.orderId, event.id)
