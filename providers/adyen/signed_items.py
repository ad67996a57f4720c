"""Reading the signed fields of a batch before its signatures are proven: what a stranger's bytes may cost.

The signatures are in the body, so it has to be read first. The standard library's JSON reader, and pydantic's, make an
object of each value: a body of 1 MiB took up to 545 ms. msgspec steps over what is not asked for, in 3 ns a byte at
most, and an item is refused at once where it is not an item. Nothing of what is read here is published: once the
signatures are proven, each item is read again by the models that its other readers use, and must say the same.
"""

from typing import Annotated, Literal

import msgspec

from providers.base import SignatureError
from providers.json_text import may_have_lone_surrogate
from providers.payload import BATCH_EVENTS_MAX

ITEMS = "notificationItems"

FIELDS = 8
"""How many fields are signed, joined by colons."""

_ITEM_NAME = b'"NotificationRequestItem"'

_NOTHING = msgspec.Raw(b"")

_Value = Annotated[int, msgspec.Meta(ge=-(10**18), le=10**18)]
_VALUE = msgspec.json.Decoder(_Value | None)

VALUE_BYTES_MAX = 32
"""The longest text of a value. Reading a number of 4,000 digits takes 60 µs."""


class _Amount(msgspec.Struct):
    value: msgspec.Raw = _NOTHING
    currency: str | None = None


_NO_AMOUNT = _Amount()


class SignedItem(msgspec.Struct, rename="camel"):
    """The eight signed fields of an item, and where its signature is."""

    psp_reference: str
    event_code: str
    success: Literal["true", "false"]
    original_reference: str | None = None
    merchant_account_code: str | None = None
    merchant_reference: str | None = None
    amount: _Amount | None = None
    additional_data: msgspec.Raw = _NOTHING

    def message(self) -> bytes:
        """Return what the signature covers.

        Raise SignatureError for an item without an id, and for a colon anywhere but in the merchant's own reference:
        with one, a captured item could be split into fields in another way.
        """
        first = (self.psp_reference, self.original_reference or "", self.merchant_account_code or "")
        amount = self.amount or _NO_AMOUNT
        last = (_value(amount.value), amount.currency or "", self.event_code, self.success)
        message = ":".join((*first, self.merchant_reference or "", *last))
        colons = message.count(":") - (self.merchant_reference or "").count(":")
        if colons != FIELDS - 1 or not (self.psp_reference and self.event_code):
            raise SignatureError("malformed", "an item has no id, or a signed field has a colon")
        return message.encode()

    def signature(self) -> str | None:
        """Return the signature, None without one that is text."""
        try:
            return _ADDITIONAL.decode(self.additional_data).hmacSignature
        except msgspec.DecodeError:
            return None


class _AdditionalData(msgspec.Struct):
    hmacSignature: str | None = None  # noqa: N815 - Adyen's spelling


class _Notification(msgspec.Struct):
    item: SignedItem = msgspec.field(name="NotificationRequestItem")


class _Batch(msgspec.Struct):
    items: msgspec.Raw = msgspec.field(name=ITEMS)
    live: msgspec.Raw = _NOTHING


_BATCH = msgspec.json.Decoder(_Batch)
_NOTIFICATIONS = msgspec.json.Decoder(list[_Notification])
_ADDITIONAL = msgspec.json.Decoder(_AdditionalData)
_WHITE_SPACE = b" \t\n\r"

_LIVE = {b'"true"': True, b'"false"': False, b"true": True, b"false": False}

_TEXTS = msgspec.json.Decoder(list[msgspec.Raw])


def _value(text: msgspec.Raw) -> str:
    """Return the value as it is signed, "" without one. Raise SignatureError where it is not a whole number."""
    if not text:
        return ""
    try:
        value = _VALUE.decode(text if len(text) <= VALUE_BYTES_MAX else b"")
    except msgspec.DecodeError:
        raise SignatureError("malformed", "the value of an amount is not a whole number, or is too large") from None
    return "" if value is None else str(value)


class SignedBatch:
    """The items of a body: their signed fields, and, once these are proven, the bytes of each item."""

    __slots__ = ("_live", "_text", "items")

    def __init__(self, body: bytes) -> None:
        """Read the signed fields. Raise msgspec.DecodeError, RecursionError, or SignatureError for too many items."""
        batch = _BATCH.decode(body)
        self._text = bytes(batch.items)
        self._live = batch.live
        if self._text.count(_ITEM_NAME) > BATCH_EVENTS_MAX:  # before any of them is read
            raise SignatureError("malformed", f"there are more than {BATCH_EVENTS_MAX} items")
        self.items: list[SignedItem] = [each.item for each in _NOTIFICATIONS.decode(self._text)]
        if len(self.items) > BATCH_EVENTS_MAX:  # their name was written with escapes
            raise SignatureError("malformed", f"there are more than {BATCH_EVENTS_MAX} items")

    def texts(self) -> list[bytes]:
        """Return the bytes of each item, exactly as they were sent."""
        if len(self.items) == 1:
            return [self._text[1:-1].strip(_WHITE_SPACE)]
        return [bytes(text) for text in _TEXTS.decode(self._text)]

    def live(self) -> bool | None:
        """Return whether the batch is live, None where it does not say so as documented."""
        return _LIVE.get(bytes(self._live))


def read_signed(body: bytes) -> SignedBatch | None:
    """Return the batch of a body, or None where a lone surrogate may be what keeps it from being read.

    Of a repeated name the last counts, as in every common JSON reader. Raise SignatureError for a body without items
    that could be signed.
    """
    try:
        return SignedBatch(body)
    except (msgspec.DecodeError, RecursionError) as error:
        if may_have_lone_surrogate(body):
            return None
        raise SignatureError(
            "malformed", f"there are no items whose signatures could be read: {type(error).__name__}"
        ) from None
