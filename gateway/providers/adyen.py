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

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from gateway.providers import signing
from gateway.providers.base import (
    Answer,
    Draft,
    PayloadError,
    Proof,
    Provider,
    Request,
    SignatureError,
    SourceSettings,
)
from gateway.providers.payload import Body, array_items, inside, read_json, some_time
from gateway.providers.secret import Secret

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


class _Amount(Body):
    value: Annotated[int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] | None = None
    currency: _NoColon | None = None


class _Item(Body):
    pspReference: Annotated[_NoColon, Field(min_length=1)]  # noqa: N815 - Adyen's spelling
    originalReference: _NoColon | None = None  # noqa: N815
    merchantAccountCode: _NoColon | None = None  # noqa: N815
    merchantReference: str | None = None  # noqa: N815
    amount: _Amount = _Amount()
    eventCode: Annotated[_NoColon, Field(min_length=1)]  # noqa: N815
    success: Literal["true", "false"]
    eventDate: Any = None  # noqa: N815
    additionalData: Any = None  # noqa: N815


class _Notification(Body):
    NotificationRequestItem: _Item


class _Batch(Body):
    live: Any = None


class Adyen(Provider):
    """Adyen's payment events, one or several a request."""

    name: ClassVar[str] = "adyen"
    Source: ClassVar[type[SourceSettings]] = HexSettings
    accepted: ClassVar[Answer | None] = Answer(200, "text/plain", b"[accepted]")

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._keys = [signing.key_from_hex(secret.reveal()) for secret in settings.secrets]

    async def authenticate(self, request: Request) -> Proof:
        """Every item, with any of the secrets: the highest number tells, so that an old secret still in use shows."""
        try:
            items = array_items(request.body, ITEMS)
        except PayloadError as error:
            raise SignatureError("malformed", f"there are no items whose signatures could be read: {error}") from None
        if not items:
            raise SignatureError("missing", "there is no item, and so no signature")
        return Proof(secret_number=max(self._prove(item) for item in items), signed="fields")

    def parse(self, request: Request) -> list[Draft]:
        """Every item of the batch."""
        live = read_json(_Batch, request.body).live
        headers = {"live": live} if isinstance(live, str) and live in {"true", "false"} else {}
        return [_draft(item, headers) for item in array_items(request.body, ITEMS)]

    def _prove(self, item: bytes) -> int:
        """The number of the secret that signed the item."""
        try:
            signed = read_json(_Notification, item).NotificationRequestItem
        except PayloadError as error:
            raise SignatureError("malformed", f"the signed fields of an item cannot be read: {error}") from None
        signature = inside(signed.additionalData, "hmacSignature")
        if not isinstance(signature, str) or not signature:
            raise SignatureError("missing", "an item has no additionalData.hmacSignature")
        return signing.signing_key(self._keys, _message(signed), [signature.encode()], signing.padded_base64)


def _message(item: _Item) -> bytes:
    fields = (
        item.pspReference,
        item.originalReference,
        item.merchantAccountCode,
        item.merchantReference,
        None if item.amount.value is None else str(item.amount.value),
        item.amount.currency,
        item.eventCode,
        item.success,
    )
    return ":".join(field or "" for field in fields).encode()


def _draft(item: bytes, headers: dict[str, str]) -> Draft:
    event = read_json(_Notification, item).NotificationRequestItem
    return Draft(
        event_id=f"{event.eventCode}:{event.pspReference}:{event.success}",
        type=event.eventCode,
        # The payment: captures, refunds and chargebacks have PSP references of their own, and name that of the payment
        # they belong to, so that all of them share a resource, and lock and merge together.
        resource=event.originalReference or event.pspReference,
        occurred_at=some_time(event.eventDate),
        headers=headers,
        body=item,
    )
