"""Square: `x-square-hmacsha256-signature: <base64 HMAC-SHA256>` over the notification URL, then the body.

Source: developer.squareup.com, "Verify and validate an event notification", and webhooks_helper of squareup.

* The URL is the one in the Developer Console, byte for byte: with port, trailing slash and query. It is a setting, and
  never rebuilt from the request, which a proxy may have changed. Each subscription has its own key.
* The old SHA-1 header `x-square-signature` is not read. `square-retry-number` and the like are not signed, and not
  needed.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from providers import signing
from providers.account import first_account
from providers.base import ParsedEvent, Proof, Provider, Request, SignatureError, SourceSettings
from providers.payload import first_id, first_timestamp, get_path, read_json
from providers.square.models import AnyData, AnyEvent

HEADER = "x-square-hmacsha256-signature"

URL_CHARS_MAX = 2048


class SquareSettings(SourceSettings):
    """Square's table in sources.toml."""

    notification_url: Annotated[str, Field(pattern="^https?://[!-~]+$", max_length=URL_CHARS_MAX)]


class Square(Provider):
    """Square's events, one per request."""

    name: ClassVar[str] = "square"
    Source: ClassVar[type[SourceSettings]] = SquareSettings

    def __init__(self, settings: SquareSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._url = settings.notification_url.encode()

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the header made with any of the secrets. Raise SignatureError."""
        signatures = request.headers.get_all(HEADER)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {HEADER} header")
        number = signing.signing_key(self._keys, self._url + request.body, signatures, signing.padded_base64)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        return [parse_event(request.body)]


def parse_event(body: bytes) -> ParsedEvent:
    """Return the event of a delivery's body, or of an item of the list of events. Raise PayloadError."""
    event = read_json(AnyEvent, body)
    return ParsedEvent(
        event_id=event.event_id,
        type=event.type,
        resource=_resource(event.data if isinstance(event.data, AnyData) else AnyData()) or event.event_id,
        occurred_at=first_timestamp(event.created_at),
        account=first_account(event.merchant_id),
    )


def _resource(data: AnyData) -> str | None:
    """Return the id of the payment. Refunds and disputes name it, so all its events are processed together."""
    return first_id(
        get_path(data.object, "payment", "id"),
        get_path(data.object, "refund", "payment_id"),
        get_path(data.object, "dispute", "disputed_payment", "payment_id"),
        data.id,
    )
