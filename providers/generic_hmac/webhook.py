"""The `hmac` provider, for senders of your own: `X-Signature: <hex HMAC-SHA256 of the body>`, and a body we define.

Any other sender that signs the raw body can be described in sources.toml: its header, digest and key, and where the
event's id, type, resource and time are. With one of these four set, the body may have any other format.

No time is signed. A captured request is not applied again, because its event id is known.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from providers import signing
from providers.base import ParsedEvent, Proof, Provider, Request, SourceSettings
from providers.field_paths import EventPaths, FieldPaths, header_name
from providers.generic_hmac.models import Event
from providers.payload import read_decimal_json, time_from_iso, time_from_unix
from providers.raw_body import Scheme
from providers.secret import Secret
from providers.unsigned_types import Types

HEADER = "X-Signature"

PREFIX_PATTERN = "^[!-~]{0,64}$"
"""The text before a signature, such as `sha256=`."""

MACS: dict[str, signing.Mac] = {
    "sha1": signing.hmac_sha1,
    "sha256": signing.hmac_sha256,
    "sha512": signing.hmac_sha512,
}
ENCODINGS: dict[str, tuple[signing.Encode, ...]] = {
    "hex": (signing.lower_hex, signing.upper_hex),
    "base64": (signing.padded_base64,),
}
KEYS: dict[str, Callable[[str], bytes]] = {
    "utf8": str.encode,
    "hex": signing.key_from_hex,
    "base64": signing.key_from_base64,
}


class HmacSettings(SourceSettings):
    """Its table in sources.toml. The defaults are those of the in-house format."""

    header: Annotated[str, AfterValidator(header_name)] = HEADER
    values: Literal["all", "first"] = "all"
    prefix: Annotated[str, Field(pattern=PREFIX_PATTERN)] = ""
    digest: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    key_encoding: Literal["utf8", "hex", "base64"] = "utf8"
    event_id: FieldPaths | None = None
    type: FieldPaths | None = None
    types: Types | None = None
    resource: FieldPaths | None = None
    occurred_at: FieldPaths | None = None

    @field_validator("types")
    @classmethod
    def _are_from_a_header(cls, types: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if types is not None and all(path.startswith("/") for path in info.data.get("type") or ()):
            raise ValueError("they are for a type that is in a header, and `type` names none")
        return types

    @field_validator("key_encoding")
    @classmethod
    def _fits_the_secrets(cls, key_encoding: str, info: ValidationInfo) -> str:
        for number, secret in enumerate(info.data.get("secrets", ()), start=1):
            try:
                _key(key_encoding, secret)
            except ValueError as error:
                raise ValueError(f"secret number {number}: {error}") from None
        return key_encoding


class GenericHmac(Provider):
    """Events of an in-house sender, or of any that sources.toml describes, one a request."""

    name: ClassVar[str] = "hmac"
    Source: ClassVar[type[SourceSettings]] = HmacSettings

    def __init__(self, settings: HmacSettings) -> None:
        super().__init__(settings)
        self._keys = [_key(settings.key_encoding, secret) for secret in settings.secrets]
        self._scheme = Scheme(
            header=settings.header,
            prefix=settings.prefix.encode(),
            mac=MACS[settings.digest],
            encodings=ENCODINGS[settings.encoding],
            first_only=settings.values == "first",
        )
        paths = (settings.event_id or (), settings.type or (), settings.resource or (), settings.occurred_at or ())
        types = None if settings.types is None else frozenset(settings.types)
        self._paths = EventPaths(*paths, types) if any(paths) else None

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the header, in lower or in upper case, made with any of the secrets."""
        return self._scheme.prove(self._keys, request.body, request.headers.get_all(self._scheme.header))

    def sign(self, body: bytes) -> dict[str, str]:
        """Return the header of a body that is signed with the first secret, for samples."""
        return self._scheme.sign(self._keys[0], body)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event: read by the source's field paths, or in the in-house format."""
        return [self._paths.parse(request)] if self._paths else self._in_house(request)

    def _in_house(self, request: Request) -> list[ParsedEvent]:
        """Return a `payment.completed`, `.failed` or `.pending`, about its transaction."""
        event = read_decimal_json(Event, request.body)
        return [
            ParsedEvent(
                event_id=f"{event.transaction_id}:{event.status}" if event.event_id is None else event.event_id,
                type=f"payment.{event.status.lower()}",
                resource=event.transaction_id,
                occurred_at=_time(event.timestamp),
            )
        ]


def _key(key_encoding: str, secret: Secret) -> bytes:
    return KEYS[key_encoding](secret.reveal())


def _time(timestamp: Decimal | str | None) -> datetime | None:
    if timestamp is None:
        return None
    return time_from_iso(timestamp) if isinstance(timestamp, str) else time_from_unix(float(timestamp))
