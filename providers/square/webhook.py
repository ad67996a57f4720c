"""Square: `x-square-hmacsha256-signature: <base64 HMAC-SHA256>` over the notification URL, then the body.

Source: developer.squareup.com, "Verify and validate an event notification", and webhooks_helper of squareup. The URL is
the one typed in the Developer Console, byte for byte: with its port, its trailing slash, its query. It is a setting and
never rebuilt from the request, which a proxy may have changed. There is a key per subscription. The SHA-1 header
`x-square-signature` of old is not read. `square-retry-number` and its like are not signed, and not needed.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from providers import signing
from providers.base import ParsedEvent, Proof, Provider, Request, SignatureError, SourceSettings
from providers.models import Model
from providers.payload import first_id, get_path, read_json, time_from_iso

HEADER = "x-square-hmacsha256-signature"

URL_CHARS_MAX = 2048


class SquareSettings(SourceSettings):
    """Its table in sources.toml."""

    notification_url: Annotated[str, Field(pattern="^https?://[!-~]+$", max_length=URL_CHARS_MAX)]


class _Data(Model):
    id: Any = None
    object: Any = None


class _Event(Model):
    event_id: str
    type: str
    created_at: str
    data: _Data = _Data()


class Square(Provider):
    """Square's events, one a request."""

    name: ClassVar[str] = "square"
    Source: ClassVar[type[SourceSettings]] = SquareSettings

    def __init__(self, settings: SquareSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._url = settings.notification_url.encode()

    async def authenticate(self, request: Request) -> Proof:
        """Any value of the header, made with any of the secrets."""
        signatures = request.headers.get_all(HEADER)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {HEADER} header")
        number = signing.signing_key(self._keys, self._url + request.body, signatures, signing.padded_base64)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        event = read_json(_Event, request.body)
        return [
            ParsedEvent(
                event_id=event.event_id,
                type=event.type,
                resource=_resource(event.data) or event.event_id,
                occurred_at=time_from_iso(event.created_at),
            )
        ]


def _resource(data: _Data) -> str | None:
    """The payment: refunds and disputes name theirs, so that all its events share a resource, and lock together."""
    return first_id(
        get_path(data.object, "payment", "id"),
        get_path(data.object, "refund", "payment_id"),
        get_path(data.object, "dispute", "disputed_payment", "payment_id"),
        data.id,
    )
