"""Paddle Billing: `Paddle-Signature: ts=<unix s>;h1=<hex>[;h1=<hex>]` over `<ts>:<body>`, HMAC-SHA256.

Source: developer.paddle.com, "Verify webhook signatures", and the notifications module of paddle-python-sdk. The key is
the whole `pdl_ntfset_…` secret. While a secret is rotated there are several h1; schemes yet to come are ignored. The
signatures of Paddle Classic are another scheme.

The clock: Paddle's own libraries tolerate 5 s, and so does this by default. Paddle waits no longer than that for an
answer, so that a wider window would only admit what nobody waits for any more. An attempt that is refused because a
proxy held it, or a clock is off, is made again and signed anew (60 times in 3 days), and is counted as `stale` or
`future` meanwhile; where the clocks cannot be kept, a larger `tolerance_s` is safe, since the event's id is signed.
"""

from typing import Annotated, Any, ClassVar

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
from providers.models import Model
from providers.payload import first_id, get_path, read_json, time_from_iso

HEADER = "Paddle-Signature"

TOLERANCE_S_PADDLE = 5
"""As Paddle's own libraries have it."""

ADJUSTMENT = "adjustment."


class PaddleSettings(TimedSettings):
    """Its table in sources.toml."""

    tolerance_s: Annotated[int, Field(strict=True, ge=1, le=TOLERANCE_S_MAX)] = TOLERANCE_S_PADDLE


class _Event(Model):
    event_id: str
    event_type: str
    occurred_at: str
    data: Any = None


class Paddle(Provider):
    """Paddle's events, one a request."""

    name: ClassVar[str] = "paddle"
    Source: ClassVar[type[SourceSettings]] = PaddleSettings

    def __init__(self, settings: PaddleSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Any h1 by any of the secrets, made within the tolerance."""
        timestamp, signatures = _parts(request.headers.get_all(HEADER))
        signed_at_s = signing.unix_s(timestamp)
        number = signing.signing_key(self._keys, timestamp + b":" + request.body, signatures, signing.lower_hex)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event. `notification_id`, which differs per destination and replay, is not its id."""
        event = read_json(_Event, request.body)
        return [
            ParsedEvent(
                event_id=event.event_id,
                type=event.event_type,
                resource=_resource(event),
                occurred_at=time_from_iso(event.occurred_at),
            )
        ]


def _parts(values: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The timestamp and the h1 signatures. A repeated header means what one header with a semicolon between would."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    items = [item.partition(b"=") for item in b";".join(values).split(b";")]
    timestamps = [value for key, _, value in items if key == b"ts"]
    signatures = [value for key, _, value in items if key == b"h1"]
    if len(timestamps) != 1 or not signatures:
        raise SignatureError("malformed", f"the {HEADER} header has not one ts and at least one h1")
    return timestamps[0], signatures


def _resource(event: _Event) -> str:
    """The transaction, which is Paddle's payment: a refund or a chargeback is an adjustment, which names it.

    A subscription names the transaction that began it, but lives on through others: it is about itself.
    """
    transaction = get_path(event.data, "transaction_id") if event.event_type.startswith(ADJUSTMENT) else None
    return first_id(transaction, get_path(event.data, "id")) or event.event_id
