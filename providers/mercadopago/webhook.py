"""Mercado Pago: `x-signature: ts=<unix time>,v1=<hex HMAC-SHA256>` over a manifest, and not over the body.

Source: mercadopago.com/developers, "Webhooks", and the validator of the mercadopago package. The manifest is
`id:<data.id of the query>;request-id:<x-request-id header>;ts:<ts>;`, without the parts that are absent.

* Hence `signed = reference`: the signature proves that Mercado Pago sent this data.id at that time. The type, the
  time and the rest of the body can be forged: fetch the payment by the event's resource before money moves.
* So the event's id is made of the manifest. The id in the body is not signed: with it, a captured request could be sent
  again as any other event, and even take the place of a later one.
* ts is in milliseconds, or in seconds in older examples; a number too large for seconds is in milliseconds.
* The documentation says that data.id may come in upper case and is signed in lower case; the package signs it as it
  came. Both are tried. The resource is then in lower case, so that one payment has one name.
* No tolerance is documented, nor whether a retry is signed anew. Without `tolerance_s` any age passes; a captured
  request is not applied again, because its event id is known.

QR-code notifications and the old IPN are not signed, and are refused. A notification in the shape of an IPN (`topic`
and `resource` in the body, no data.id in the query) may be signed, over request id and time alone: then it shares the
resource of the payment that its body names, and no money is read from it.
"""

import contextlib
import re
from typing import Annotated, ClassVar
from urllib.parse import unquote_plus

from pydantic import Field, ValidationInfo, field_validator

from providers import signing
from providers.account import first_account, mode_of_flag
from providers.base import TOLERANCE_S_MAX, ParsedEvent, Proof, Provider, Request, SignatureError, SourceSettings
from providers.mercadopago.models import CURRENCY, DATA_ID, MONEY_FROM, Event, MoneyFrom
from providers.payload import UNIX_S_MAX, first_id, first_timestamp, get_path, read_json

HEADER = "x-signature"
REQUEST_ID = "x-request-id"

TYPE_UNKNOWN = "unknown"

TS_DIGITS_MAX = 14
"""Milliseconds until the year 5138."""

QUERY_FIELDS_MAX = 20

ID_CHARS_MAX = 100

ESCAPED_CHARS = 3
"""Of a character in a query at most: it may be written as %41."""

_NAME = re.compile(f"[!-:<-~]{{1,{ID_CHARS_MAX}}}")
"""An id without a semicolon: with one, the manifest could be cut into id and request id in another way."""


class MercadoPagoSettings(SourceSettings):
    """Its table in sources.toml."""

    tolerance_s: Annotated[int, Field(strict=True, ge=1, le=TOLERANCE_S_MAX)] | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """The account's currency. Notifications of orders have amounts without one."""

    money_from: Annotated[MoneyFrom | None, Field(validate_default=True)] = None
    """What is booked: orders (also where it is absent), or payments, of which only the API knows an amount."""

    @field_validator("money_from")
    @classmethod
    def _is_decided(cls, money_from: MoneyFrom | None, info: ValidationInfo) -> MoneyFrom | None:
        """Refuse to ask the API without knowing which of the two ids of a sale its money is booked under."""
        asks = info.data.get("confirm") or info.data.get("reconcile_every")
        if asks and money_from is None:
            raise ValueError('say "orders" if the account uses the Orders API, else "payments"; never change it later')
        return money_from


class MercadoPago(Provider):
    """Mercado Pago's events, one a request."""

    name: ClassVar[str] = "mercadopago"
    Source: ClassVar[type[SourceSettings]] = MercadoPagoSettings

    def __init__(self, settings: MercadoPagoSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s
        self._headers = {CURRENCY: settings.currency} if settings.currency else {}
        if settings.money_from == "payments":
            self._headers[MONEY_FROM] = settings.money_from

    async def authenticate(self, request: Request) -> Proof:
        """Accept any v1 by any of the secrets, over either form of the id, and within the tolerance if it is set."""
        timestamp, signatures = _parts(request.headers.get_all(HEADER))
        data_id, request_id = _data_id(request), _request_id(request)
        number = self._prove(
            [_manifest(each, request_id, timestamp) for each in (data_id, _one_name(data_id))], signatures
        )
        if self._tolerance_s is not None:
            signing.check_clock(_seconds(timestamp), request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="reference")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event."""
        event = read_json(Event, request.body)
        timestamp, _ = _parts(request.headers.get_all(HEADER))
        data_id = _data_id(request)
        signed_id = _one_name(data_id)
        event_id = _manifest(signed_id, _request_id(request), timestamp).decode()
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.action or event.type or event.topic or TYPE_UNKNOWN,
                # The payment's own id, so that all events of the payment share a resource.
                resource=signed_id or _unsigned_id(event) or event_id,
                occurred_at=first_timestamp(event.date_created, int(timestamp)),
                headers={**({DATA_ID: data_id} if data_id else {}), **self._headers},
                mode=mode_of_flag(event.live_mode),
                account=first_account(event.user_id),
            )
        ]

    def _prove(self, manifests: list[bytes], signatures: list[bytes]) -> int:
        """Return the number of the secret that signed one of the manifests."""
        *others, last = manifests
        for manifest in others:
            with contextlib.suppress(SignatureError):
                return signing.signing_key(self._keys, manifest, signatures, signing.lower_hex)
        return signing.signing_key(self._keys, last, signatures, signing.lower_hex)


def _parts(values: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the timestamp and the v1 signatures. Repeated headers are read as one, joined by a comma."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    # As in the validator of its package, white space may also be around the equals sign.
    items = [(key.strip(), value.strip()) for key, value in signing.header_pairs(values, b",")]
    timestamps = [value for key, value in items if key == b"ts"]
    signatures = [value for key, value in items if key == b"v1"]
    if len(timestamps) != 1 or not signatures:
        raise SignatureError("malformed", f"the {HEADER} header has not one ts and at least one v1")
    if not (timestamps[0].isdigit() and len(timestamps[0]) <= TS_DIGITS_MAX):
        raise SignatureError("malformed", "the signed timestamp is not a number of seconds or milliseconds")
    return timestamps[0], signatures


def _data_id(request: Request) -> str:
    """Return data.id of the query, "" where it is absent. Only what can be its name or an id is decoded."""
    fields = request.target.partition("?")[2].split("&", QUERY_FIELDS_MAX)
    if len(fields) > QUERY_FIELDS_MAX:
        raise SignatureError("malformed", f"the query has more than {QUERY_FIELDS_MAX} fields")
    found = []
    for field in fields:
        name, _, value = field.partition("=")
        if len(name) <= ESCAPED_CHARS * len(DATA_ID) and _unquoted(name) == DATA_ID:
            if value.count("%") > ID_CHARS_MAX:  # each is a character, or the escape of one
                raise SignatureError("malformed", f"{DATA_ID} is longer than an id")
            found.append(_unquoted(value[: ESCAPED_CHARS * (ID_CHARS_MAX + 1)]))
    return _name(DATA_ID, found)


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _unsigned_id(event: Event) -> str | None:
    """Return the id that the body names. It may be the last part of an address. No money is read for it."""
    named = first_id(get_path(event.data, "id"), event.resource)
    name = _one_name(named.rpartition("/")[2]) if named else ""
    return name if _NAME.fullmatch(name) else None


def _request_id(request: Request) -> str:
    """Return the x-request-id header, "" where it is absent."""
    values = request.headers.get_all(REQUEST_ID)
    return _name(REQUEST_ID, [value[: ID_CHARS_MAX + 1].decode(errors="replace") for value in values])


def _name(what: str, values: list[str]) -> str:
    if not any(values):
        return ""
    if len(values) > 1 or not _NAME.fullmatch(values[0]):
        raise SignatureError("malformed", f"{what} is repeated, or is not an id")
    return values[0]


def _one_name(data_id: str) -> str:
    """Return an upper-case id in lower case, and an id in mixed case unchanged."""
    return data_id if any(map(str.islower, data_id)) else data_id.lower()


def _manifest(data_id: str, request_id: str, timestamp: bytes) -> bytes:
    parts = (("id", data_id), ("request-id", request_id), ("ts", timestamp.decode()))
    return "".join(f"{name}:{value};" for name, value in parts if value).encode()


def _seconds(timestamp: bytes) -> int:
    number = int(timestamp)
    return number // 1000 if number > UNIX_S_MAX else number
