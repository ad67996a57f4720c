"""Paddle Billing: `Paddle-Signature: ts=<unix s>;h1=<hex>[;h1=<hex>]` over `<ts>:<body>`, HMAC-SHA256.

Source: developer.paddle.com, "Verify webhook signatures", and the notifications module of paddle-python-sdk.

* The key is the whole `pdl_ntfset_…` secret. While a secret is being rotated there are several h1. Unknown schemes are
  ignored. Paddle Classic signs with another scheme.
* The tolerance is 5 s, as in Paddle's own libraries. Paddle waits no longer than that for an answer, so a wider window
  would only admit requests whose sender has given up.
* A request that is refused because a proxy delayed it, or a clock is wrong, is sent again and signed anew (60 times in
  3 days); meanwhile it is counted as `stale` or `future`. Where the clocks cannot be kept, a larger `tolerance_s` is
  safe, because the event's id is signed.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from providers import signing
from providers.base import (
    TOLERANCE_S_MAX,
    ParsedEvent,
    Proof,
    Provider,
    Request,
    SignatureError,
    SourceSettings,
    TimedSettings,
)
from providers.paddle.models import AnyEntity, AnyEvent
from providers.payload import first_id, read_json, time_from_iso

HEADER = "Paddle-Signature"

TOLERANCE_S_PADDLE = 5
"""The default of Paddle's own libraries."""

ADJUSTMENT = "adjustment."

SIMULATED = "ntfsimevt_"
"""The ids of events that Paddle's webhook simulator makes up. A live destination may get them too. Nothing in an event
says whether it is of the sandbox, which is another account with secrets of its own."""


class PaddleSettings(TimedSettings):
    """Paddle's table in sources.toml."""

    tolerance_s: Annotated[int, Field(strict=True, ge=1, le=TOLERANCE_S_MAX)] = TOLERANCE_S_PADDLE


class Paddle(Provider):
    """Paddle's events, one per request."""

    name: ClassVar[str] = "paddle"
    Source: ClassVar[type[SourceSettings]] = PaddleSettings

    def __init__(self, settings: PaddleSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Accept any h1 made with any of the secrets within the tolerance. Raise SignatureError."""
        timestamp, signatures = _read_header(request.headers.get_all(HEADER))
        signed_at_s = signing.unix_s(timestamp)
        number = signing.signing_key(self._keys, timestamp + b":" + request.body, signatures, signing.lower_hex)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        return [parse_event(request.body)]


def parse_event(body: bytes) -> ParsedEvent:
    """Return the event of a delivery's body, or of an item of the list of events. Raise PayloadError."""
    event = read_json(AnyEvent, body)
    return ParsedEvent(
        event_id=event.event_id,
        type=event.event_type,
        resource=_resource(event),
        occurred_at=time_from_iso(event.occurred_at),
        mode="test" if event.event_id.startswith(SIMULATED) else None,
    )


def _read_header(values: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the timestamp and the h1 signatures. Repeated headers are read as one, joined by semicolons."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    items = signing.header_pairs(values, b";")
    timestamps = [value for key, value in items if key == b"ts"]
    signatures = [value for key, value in items if key == b"h1"]
    if len(timestamps) != 1 or not signatures:
        raise SignatureError("malformed", f"the {HEADER} header has not exactly one ts and at least one h1")
    return timestamps[0], signatures


def _resource(event: AnyEvent) -> str:
    """Return the id of the transaction, which is Paddle's payment: adjustments (refunds, chargebacks) name it.

    A subscription names only its first transaction, and others follow, so it is about itself.
    """
    about = event.data or AnyEntity()
    transaction = about.transaction_id if event.event_type.startswith(ADJUSTMENT) else None
    return first_id(transaction, about.id) or event.event_id
