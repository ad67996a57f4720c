"""Adyen's standard webhooks: each item of a batch has its own `additionalData.hmacSignature`, in base64.

Source: docs.adyen.com, "Verify HMAC signatures", and Adyen.util of its own library. The key is the hex text decoded.
Eight fields are signed, and nothing else. They are joined by colons without any escaping: pspReference,
originalReference, merchantAccountCode, merchantReference, amount.value, amount.currency, eventCode, success; a missing
field is empty.

* Hence `signed = fields`: eventDate, reason, live, paymentMethod, additionalData can be forged.
* Only merchantReference, which is your own, may have a colon. With a colon in another field too, a captured item could
  be split into fields in another way, and so get another event id.
* A batch is refused whole if one item is not genuine (Adyen's library checks the first item only). Each event is kept
  with the bytes of its own item. `live` is a field of the batch, outside the items, and goes into the event's headers.
* There is no event id: it is made of event code, PSP reference and success. All three are signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from pydantic import field_validator

from providers import signing
from providers.adyen.models import Item, Notification
from providers.base import Answer, ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.payload import array_and_rest, first_timestamp, read_json
from providers.secret import Secret

ITEMS = "notificationItems"


class HexSettings(SourceSettings):
    """Its table in sources.toml. The secrets are hex, as Adyen shows them."""

    @field_validator("secrets")
    @classmethod
    def _are_hex(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        for number, secret in enumerate(secrets, start=1):
            try:
                signing.key_from_hex(secret.reveal())
            except ValueError as error:
                raise ValueError(f"number {number}: {error}") from None
        return secrets


@dataclass(frozen=True, slots=True)
class _Batch:
    """The items of a body, each with its own bytes, and the headers of their events."""

    items: Sequence[tuple[bytes, Item]]
    headers: dict[str, str]


class Adyen(Provider):
    """Adyen's payment events, one or several a request."""

    name: ClassVar[str] = "adyen"
    Source: ClassVar[type[SourceSettings]] = HexSettings
    accepted: ClassVar[Answer | None] = Answer(200, "text/plain", b"[accepted]")

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._keys = [signing.key_from_hex(secret.reveal()) for secret in settings.secrets]

    async def authenticate(self, request: Request) -> Proof:
        """Prove every item by any of the secrets. The highest number counts, to show that an old secret is in use."""
        try:
            batch = _read_batch(request.body)
        except PayloadError as error:
            raise SignatureError("malformed", f"there are no items whose signatures could be read: {error}") from None
        if not batch.items:
            raise SignatureError("missing", "there is no item, and so no signature")
        number = max([self._prove(item) for _, item in batch.items])
        return Proof(secret_number=number, signed="fields", parse=partial(_parse, batch))

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return every item of the batch."""
        return _parse(_read_batch(request.body))

    def _prove(self, item: Item) -> int:
        """Return the number of the secret that signed the item."""
        signature = item.additional_data and item.additional_data.hmac_signature
        if not signature:
            raise SignatureError("missing", "an item has no additionalData.hmacSignature")
        return signing.signing_key(self._keys, _message(item), [signature.encode()], signing.padded_base64)


def _read_batch(body: bytes) -> _Batch:
    """Return the items of a body. Raise PayloadError."""
    texts, rest = array_and_rest(body, ITEMS)
    live = rest.get("live")
    headers = {"live": live} if isinstance(live, str) and live in {"true", "false"} else {}
    return _Batch([(text, read_json(Notification, text).item) for text in texts], headers)


def _message(item: Item) -> bytes:
    """Return what the signature covers."""
    value = item.amount.value
    fields = (
        item.psp_reference,
        item.original_reference,
        item.merchant_account_code,
        item.merchant_reference,
        None if value is None else str(value),
        item.amount.currency,
        item.event_code,
        item.success,
    )
    return ":".join([field or "" for field in fields]).encode()


def _parse(batch: _Batch) -> list[ParsedEvent]:
    return [
        ParsedEvent(
            event_id=f"{item.event_code}:{item.psp_reference}:{item.success}",
            type=item.event_code,
            # The payment: captures, refunds and chargebacks have PSP references of their own, and name that of their
            # payment, so that all of them share a resource, and lock and merge together.
            resource=item.original_reference or item.psp_reference,
            occurred_at=first_timestamp(item.event_date),
            headers=batch.headers,
            body=text,
        )
        for text, item in batch.items
    ]
