"""Adyen's standard webhooks: each item of a batch carries its own `additionalData.hmacSignature`, in base64.

Source: docs.adyen.com, "Verify HMAC signatures", and Adyen.util of its own library. The key is the hex text decoded.
Signed are eight fields and nothing else, joined by colons without any escaping: pspReference, originalReference,
merchantAccountCode, merchantReference, amount.value, amount.currency, eventCode, success; a missing one is empty.

* Hence `signed = fields`: eventDate, reason, live, paymentMethod, additionalData could be anyone's.
* Only merchantReference, which is yours, may hold a colon. With one in another field too, a captured item could be cut
  into fields in another way, and so get another event id.
* A batch is refused whole if one item is not genuine (Adyen's library looks at the first one only). Each item is kept
  with its own bytes; whether it is live is said beside them, in the batch, and goes into the event's headers.
* There is no event id: event code, PSP reference and success make it. All three are signed.
"""

import contextlib
import re
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NotRequired

from pydantic import Field, field_validator
from typing_extensions import TypedDict

from providers import signing
from providers.base import Answer, ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.payload import Reader, array_and_rest, body_part, first_timestamp, get_path
from providers.secret import Secret

ITEMS = "notificationItems"

AMOUNT_MAX = 10**18
"""In minor units, either way: beyond it an amount would not fit a bigint."""

_NoColon = Annotated[str, Field(pattern="^[^:]*$")]


class HexSettings(SourceSettings):
    """Its table in sources.toml. The secrets must be hex, as Adyen shows them."""

    @field_validator("secrets")
    @classmethod
    def _are_hex(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        for number, secret in enumerate(secrets, start=1):
            try:
                signing.key_from_hex(secret.reveal())
            except ValueError as error:
                raise ValueError(f"number {number}: {error}") from None
        return secrets


@body_part
class _Amount(TypedDict, total=False):
    value: Annotated[int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] | None
    currency: _NoColon | None


@body_part
class _Item(TypedDict):
    pspReference: Annotated[_NoColon, Field(min_length=1)]
    originalReference: NotRequired[_NoColon | None]
    merchantAccountCode: NotRequired[_NoColon | None]
    merchantReference: NotRequired[str | None]
    amount: NotRequired[_Amount]
    eventCode: Annotated[_NoColon, Field(min_length=1)]
    success: Literal["true", "false"]
    eventDate: NotRequired[Any]
    additionalData: NotRequired[Any]


@body_part
class _Notification(TypedDict):
    NotificationRequestItem: _Item


_read_notification = Reader(_Notification)

_ALONE = re.compile(
    rb"""_\{_"live"_:_"(true|false)"_,_"notificationItems"_:_\[_(\{_"NotificationRequestItem"_:.*\})_\]_\}_""".replace(
        b"_", rb"[ \t\n\r]*"
    ),
    re.DOTALL,
)
"""A batch as Adyen writes it, if what stands in place of the one item is one JSON value: then all of it is JSON, and
that is the item, byte for byte. Where it is several, or none, it cannot be read as one."""

ALONE_BYTES_MAX = 4096
"""Within it there is no number that is too large for a reader of JSON in Python, whatever else stands in the item."""


class _Batch(NamedTuple):
    """Each item beside the bytes it was read from, and whether they are live."""

    items: list[tuple[bytes, _Item]]
    live: object


class Adyen(Provider):
    """Adyen's payment events, one or several a request."""

    name: ClassVar[str] = "adyen"
    Source: ClassVar[type[SourceSettings]] = HexSettings
    accepted: ClassVar[Answer | None] = Answer(200, "text/plain", b"[accepted]")

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._keys = [signing.key_from_hex(secret.reveal()) for secret in settings.secrets]
        self._proven: tuple[bytes, _Batch] | None = None
        """What was read to prove the latest body, so that it is not read again to parse it."""

    async def authenticate(self, request: Request) -> Proof:
        """Every item, with any of the secrets: the highest number tells, so that an old secret still in use shows."""
        try:
            batch = _batch(request.body)
        except PayloadError as error:
            raise SignatureError("malformed", f"there are no items whose signatures could be read: {error}") from None
        if not batch.items:
            raise SignatureError("missing", "there is no item, and so no signature")
        number = max([self._prove(item) for _, item in batch.items])
        self._proven = request.body, batch
        return Proof(secret_number=number, signed="fields")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Every item of the batch."""
        proven, self._proven = self._proven, None
        batch = proven[1] if proven and proven[0] is request.body else _batch(request.body)
        headers = {"live": batch.live} if isinstance(batch.live, str) and batch.live in {"true", "false"} else {}
        return [_draft(text, item, headers) for text, item in batch.items]

    def _prove(self, item: _Item) -> int:
        """The number of the secret that signed the item."""
        signature = get_path(item.get("additionalData"), "hmacSignature")
        if not isinstance(signature, str) or not signature:
            raise SignatureError("missing", "an item has no additionalData.hmacSignature")
        return signing.signing_key(self._keys, _message(item), [signature.encode()], signing.padded_base64)


def _batch(body: bytes) -> _Batch:
    """What the body holds. Raises PayloadError."""
    alone = _ALONE.fullmatch(body) if len(body) <= ALONE_BYTES_MAX else None
    if alone:
        live, text = alone.groups()
        with contextlib.suppress(PayloadError):  # several items, or whatever is wrong with it will be told below
            return _Batch([(text, _read(text))], live.decode())
    texts, rest = array_and_rest(body, ITEMS)
    return _Batch([(text, _read(text)) for text in texts], rest.get("live"))


def _read(item: bytes) -> _Item:
    return _read_notification(item)["NotificationRequestItem"]


def _message(item: _Item) -> bytes:
    amount = item.get("amount") or {}
    value = amount.get("value")
    fields = (
        item["pspReference"],
        item.get("originalReference"),
        item.get("merchantAccountCode"),
        item.get("merchantReference"),
        None if value is None else str(value),
        amount.get("currency"),
        item["eventCode"],
        item["success"],
    )
    return ":".join([field or "" for field in fields]).encode()


def _draft(text: bytes, item: _Item, headers: dict[str, str]) -> ParsedEvent:
    code, reference, success = item["eventCode"], item["pspReference"], item["success"]
    return ParsedEvent(
        event_id=f"{code}:{reference}:{success}",
        type=code,
        # The payment: captures, refunds and chargebacks have PSP references of their own, and name that of the payment
        # they belong to, so that all of them share a resource, and lock and merge together.
        resource=item.get("originalReference") or reference,
        occurred_at=first_timestamp(item.get("eventDate")),
        headers=headers,
        body=text,
    )
