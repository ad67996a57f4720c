"""The `hmac` provider, for senders of your own: `X-Signature: <hex HMAC-SHA256 of the body>`, and a body we define.

There is no signed time, so what keeps a captured request from being applied again is that its event id is known.
"""

import json
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, ClassVar, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.providers import signing
from gateway.providers.base import Draft, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from gateway.providers.payload import Body, read_values, time_from_iso, time_from_unix

HEADER = "X-Signature"

AMOUNT_WHOLE_DIGITS_MAX = 15
AMOUNT_DECIMALS_MAX = 6
"""Both bound what an exponent could blow up, and keep a sum in any currency's minor units within a bigint."""

_DECIMAL_TEXT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


class _Event(Body):
    """The body as DESIGN of the `hmac` source has it. No number of it was ever a float."""

    transaction_id: str
    status: Literal["COMPLETED", "FAILED", "PENDING"]
    amount: "_Amount"
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")]
    timestamp: Decimal | str | None = None
    event_id: str | None = None


class GenericHmac(Provider):
    """Events of an in-house sender, one a request."""

    name: ClassVar[str] = "hmac"

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]

    async def authenticate(self, request: Request) -> Proof:
        """Any value of the header, in lower or in upper case, made with any of the secrets."""
        signatures = request.headers.get_all(HEADER)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {HEADER} header")
        number = signing.signing_key(self._keys, request.body, signatures, signing.lower_hex, signing.upper_hex)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[Draft]:
        """The one event, `payment.completed`, `.failed` or `.pending`, about its transaction."""
        event = read_values(_Event, _decode(request.body))
        return [
            Draft(
                event_id=f"{event.transaction_id}:{event.status}" if event.event_id is None else event.event_id,
                type=f"payment.{event.status.lower()}",
                resource=event.transaction_id,
                occurred_at=_time(event.timestamp),
            )
        ]


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
