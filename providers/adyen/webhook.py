"""Adyen's standard webhooks: each item of a batch has its own `additionalData.hmacSignature`, in base64.

Source: docs.adyen.com, "Verify HMAC signatures", and Adyen.util of its own library. The key is the hex text decoded.
Eight fields are signed, and nothing else. They are joined by colons without any escaping: pspReference,
originalReference, merchantAccountCode, merchantReference, amount.value, amount.currency, eventCode, success; a missing
field is empty.

* Hence `signed = fields`: eventDate, reason, live, paymentMethod, additionalData can be forged.
* Only merchantReference, which is your own, may have a colon. With a colon in another field too, a captured item could
  be split into fields in another way, and so get another event id.
* A batch is refused whole if one item is not genuine (Adyen's library checks the first item only). Each event is kept
  with the bytes of its own item. `live` is a field of the batch, outside the items. It goes into the event's headers,
  and says the event's mode, except for the samples that "Test configuration" in the Customer Area (and the Management
  API, "Test a webhook") sends to a live endpoint too: their references begin with `test_`.
* There is no event id: it is made of event code, PSP reference and success. All three are signed.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import ClassVar

from pydantic import field_validator

from contract.event import Mode
from providers import signing
from providers.account import first_account, mode_of_flag
from providers.adyen.models import Amount, Item, Notification
from providers.adyen.signed_items import ITEMS, SignedBatch, SignedItem, read_signed
from providers.base import Answer, ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.json_text import without_lone_surrogates
from providers.off_loop import ON_LOOP_BYTES_MAX, OffLoop
from providers.payload import array_and_rest, first_timestamp, read_json
from providers.secret import Secret

SAMPLE = "test_"
"""How the references of made-up items begin, as in `test_AUTHORISATION_1`. Genuine ones are digits and capitals."""


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


class Adyen(Provider):
    """Adyen's payment events, one or several a request."""

    name: ClassVar[str] = "adyen"
    Source: ClassVar[type[SourceSettings]] = HexSettings
    accepted: ClassVar[Answer | None] = Answer(200, "text/plain", b"[accepted]")

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._off_loop = OffLoop(settings.source)
        self._keys = [signing.key_from_hex(secret.reveal()) for secret in settings.secrets]

    async def authenticate(self, request: Request) -> Proof:
        """Prove every item by any of the secrets. The highest number counts, to show that an old secret is in use."""
        body = request.body
        batch = read_signed(body) if len(body) <= ON_LOOP_BYTES_MAX else None
        if batch is None:
            return await self._off_loop.run(self._prove_and_parse, body)
        return Proof(self._prove_all(batch), "fields", partial(_parse_proven, batch))

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return every item of the batch."""
        texts, live = _cut(request.body)
        return _events(texts, [read_json(Notification, text).item for text in texts], live)

    def _prove_and_parse(self, body: bytes) -> Proof:
        """Return the proof, with its events read already: a batch is long enough to do both off the event loop."""
        batch = read_signed(body)
        is_whole = batch is not None
        if batch is None:
            batch = read_signed(without_lone_surrogates(body))
        if batch is None:
            raise SignatureError("malformed", "there are no items whose signatures could be read")
        number = self._prove_all(batch)
        texts = None if is_whole else _cut(body)[0]  # slow, so only for what is proven
        events: Future[list[ParsedEvent]] = Future()
        try:
            events.set_result(_parse_proven(batch, texts))
        except PayloadError as error:
            events.set_exception(error)
        return Proof(number, "fields", events.result)

    def _prove_all(self, batch: SignedBatch) -> int:
        if not batch.items:
            raise SignatureError("missing", "there is no item, and so no signature")
        return max([self._prove(item) for item in batch.items])

    def _prove(self, item: SignedItem) -> int:
        """Return the number of the secret that signed the item."""
        signature = item.signature()
        if not signature:
            raise SignatureError("missing", "an item has no additionalData.hmacSignature")
        return signing.signing_key(self._keys, item.message(), [signature.encode()], signing.padded_base64)


def _parse_proven(batch: SignedBatch, texts: list[bytes] | None = None) -> list[ParsedEvent]:
    """Return the events of a batch whose signatures are proven. Raise PayloadError.

    Each item must say to this reader, which is that of the workers, what its signature covers. `texts` are its items'
    bytes where the batch itself was read without its lone surrogates.
    """
    texts = batch.texts() if texts is None else texts
    items = [read_json(Notification, text).item for text in texts]
    if [_message(item) for item in items] != [item.message() for item in batch.items]:
        raise PayloadError("an item does not say what its signature covers")
    return _events(texts, items, batch.live())


def _events(texts: Sequence[bytes], items: Sequence[Item], live: bool | None) -> list[ParsedEvent]:
    headers = {} if live is None else {"live": "true" if live else "false"}
    mode: Mode | None = None if live is None else "live" if live else "test"
    return [_event(text, item, headers, mode) for text, item in zip(texts, items, strict=True)]


def _cut(body: bytes) -> tuple[list[bytes], bool | None]:
    """Return the bytes of each item, and whether the batch is live, with the standard library. Raise PayloadError.

    It accepts lone surrogates, and is too slow for what nobody signed.
    """
    texts, rest = array_and_rest(body, ITEMS)
    mode = mode_of_flag(rest.get("live"))
    return texts, None if mode is None else mode == "live"


def _message(item: Item) -> bytes:
    """Return what the signature covers, as the item's other readers read it."""
    amount = item.amount or Amount()
    value = amount.value
    fields = (
        item.psp_reference,
        item.original_reference,
        item.merchant_account_code,
        item.merchant_reference,
        None if value is None else str(value),
        amount.currency,
        item.event_code,
        item.success,
    )
    return ":".join([field or "" for field in fields]).encode()


def _is_sample(item: Item) -> bool:
    """Whether Adyen made the item up, to test the endpoint."""
    return item.psp_reference.startswith(SAMPLE) or (item.original_reference or "").startswith(SAMPLE)


def _event(text: bytes, item: Item, headers: dict[str, str], mode: Mode | None) -> ParsedEvent:
    return ParsedEvent(
        event_id=f"{item.event_code}:{item.psp_reference}:{item.success}",
        type=item.event_code,
        # The payment: captures, refunds and chargebacks have PSP references of their own, and name that of their
        # payment, so that all of them share a resource, and lock and merge together.
        resource=item.original_reference or item.psp_reference,
        occurred_at=first_timestamp(item.event_date),
        headers=headers,
        body=text,
        mode="test" if _is_sample(item) else mode,
        account=first_account(item.merchant_account_code),
    )
