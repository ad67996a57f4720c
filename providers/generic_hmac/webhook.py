"""The `hmac` provider, for senders of your own: `X-Signature: <hex HMAC-SHA256 of the body>`, and a body we define.

Any other sender that signs the raw body can be described in sources.toml: its header, digest and key, and where the
event's id, type, resource and time are. Once one of these four is set, the body need not be the one defined here.

There is no signed time, so what keeps a captured request from being applied again is that its event id is known.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, ClassVar, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from providers import signing
from providers.base import ParsedEvent, PayloadError, Proof, Provider, Request, SourceSettings
from providers.field_paths import Places, Reader, header_name
from providers.models import Model
from providers.payload import read_values, time_from_iso, time_from_unix
from providers.raw_body import Scheme
from providers.secret import Secret

HEADER = "X-Signature"

PREFIX_PATTERN = "^[!-~]{0,64}$"
"""What may stand before a signature, such as `sha256=`."""

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

AMOUNT_WHOLE_DIGITS_MAX = 15
AMOUNT_DECIMALS_MAX = 6
"""Both bound what an exponent could blow up, and keep a sum in any currency's minor units within a bigint."""

_DECIMAL_TEXT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


class _Event(Model):
    """The body as DESIGN of the `hmac` source has it. No number of it was ever a float."""

    transaction_id: str
    status: Literal["COMPLETED", "FAILED", "PENDING"]
    amount: "_Amount"
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")]
    timestamp: Decimal | str | None = None
    event_id: str | None = None


class HmacSettings(SourceSettings):
    """Its table in sources.toml. What is left out is as the in-house format has it."""

    header: Annotated[str, AfterValidator(header_name)] = HEADER
    values: Literal["all", "first"] = "all"
    prefix: Annotated[str, Field(pattern=PREFIX_PATTERN)] = ""
    digest: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    key_encoding: Literal["utf8", "hex", "base64"] = "utf8"
    event_id: Places | None = None
    type: Places | None = None
    resource: Places | None = None
    occurred_at: Places | None = None

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
        self._first_only = settings.values == "first"
        self._scheme = Scheme(
            header=settings.header,
            prefix=settings.prefix.encode(),
            mac=MACS[settings.digest],
            encodings=ENCODINGS[settings.encoding],
        )
        places = (settings.event_id, settings.type, settings.resource, settings.occurred_at)
        self._reader = Reader(*(place or () for place in places)) if any(places) else None

    async def authenticate(self, request: Request) -> Proof:
        """Any value of the header, in lower or in upper case, made with any of the secrets."""
        values = request.headers.get_all(self._scheme.header)
        return self._scheme.prove(self._keys, request.body, values[:1] if self._first_only else values)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event: from where its parts are, or in the in-house format."""
        return [self._reader.draft(request)] if self._reader else self._in_house(request)

    def _in_house(self, request: Request) -> list[ParsedEvent]:
        """`payment.completed`, `.failed` or `.pending`, about its transaction."""
        event = read_values(_Event, _decode(request.body))
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


def _decode(body: bytes) -> object:
    """The JSON value with every number as a Decimal: pydantic's own JSON reader would take them through a float."""
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
    except (ValueError, InvalidOperation, RecursionError):
        raise PayloadError("the body is not JSON in UTF-8, or is nested or a number is large beyond reason") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _from_text(amount: object) -> object:
    if not isinstance(amount, str):
        return amount
    if not _DECIMAL_TEXT.fullmatch(amount):
        raise ValueError("not a decimal number")
    return Decimal(amount)


def _within_limits(amount: Decimal) -> Decimal:
    decimals = -int(amount.as_tuple().exponent)
    if amount < 0 or amount.adjusted() >= AMOUNT_WHOLE_DIGITS_MAX or decimals > AMOUNT_DECIMALS_MAX:
        raise ValueError(
            f"not an amount from 0 with at most {AMOUNT_WHOLE_DIGITS_MAX} digits before the point "
            f"and {AMOUNT_DECIMALS_MAX} after it"
        )
    return amount


_Amount = Annotated[Decimal, BeforeValidator(_from_text), AfterValidator(_within_limits)]


def _time(timestamp: Decimal | str | None) -> datetime | None:
    if timestamp is None:
        return None
    return time_from_iso(timestamp) if isinstance(timestamp, str) else time_from_unix(float(timestamp))
