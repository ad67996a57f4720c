"""Braintree: a form with `bt_signature` and `bt_payload`, the latter XML in base64; and a challenge by GET.

Source: developer.paypal.com/braintree/docs/guides/webhooks, and the webhook gateways of the braintree package.

* bt_signature is `<public key>|<hex HMAC-SHA1>` pairs joined by `&`. The key is the SHA-1 of the private key; what is
  signed is the text of bt_payload, with a line end that some forms lose. The form has to be read before the signature.
* An API key is a pair: `public_key` lists the public key of each secret, in their order. A public key is only a name:
  pairs of other names are not tried.
* There is no event id. It is made of bt_payload without the line end, so that either form of it is the same event. The
  event is kept with bt_payload as it was signed, which is base64 of XML.
* GET `?bt_challenge=<20 to 32 hex digits>` asks for `<public key>|<hex HMAC-SHA1 of it>`. Nothing else is signed for
  a stranger; and a signed challenge cannot be used as a payload, because hex digits alone are not XML in base64.
"""

import binascii
import contextlib
import hashlib
import re
from functools import partial
from typing import ClassVar
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element

from pydantic import ValidationInfo, field_validator

from providers import signing
from providers.account import first_account
from providers.base import Answer, ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.braintree.models import NEWEST_CHARGE, SUBJECT, read_notification, text_at
from providers.facts import UnreadableError
from providers.off_loop import ON_LOOP_BYTES_MAX, OffLoop
from providers.payload import digest_id, first_timestamp
from providers.public_keys import OneOrMore

SIGNATURE = b"bt_signature"
PAYLOAD = b"bt_payload"

FORM_FIELDS_MAX = 20
SIGNATURES_MAX = 20

FIELD_NAME_BYTES_MAX = 40
"""Enough for either name, with each character escaped."""

PADDING_BYTES_MAX = 16
"""After the base64 of a payload, or of a signature's pair: `==`, and a line end, each of them escaped or not."""

_QUOTED_PRINTABLE = bytes.maketrans(b"%+", b"= ")

_CHALLENGE = re.compile("bt_challenge=([a-f0-9]{20,32})")
_PUBLIC_KEY = re.compile("[!-%'-{}~]{1,255}")
"""Printable, without the `&` and `|` that separate pairs and their halves."""

ABOUT = (
    "transaction/refunded-transaction-id",
    "transaction/id",
    "*/transaction/id",
    "transaction-review/transaction-id",
    "*/payment-id",
    "*/id",
    "*/token",
    "*/merchant-public-id",
)
"""The paths at which a notification's subject names its payment, in this order, or else itself."""

ACCOUNT = ("source-merchant-id", f"{SUBJECT}//merchant-account-id", f"{SUBJECT}//merchant-account/id")
"""The paths at which a notification names the account: the connected merchant, else the merchant account."""


class BraintreeSettings(SourceSettings):
    """Its table in sources.toml. The secrets are private keys."""

    public_key: OneOrMore

    @field_validator("public_key")
    @classmethod
    def _one_for_each(cls, public_keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(public_keys) != len(info.data.get("secrets", public_keys)):
            raise ValueError("there must be one for each of the secrets, in their order")
        if not all(map(_PUBLIC_KEY.fullmatch, public_keys)) or len(set(public_keys)) < len(public_keys):
            raise ValueError("one is not a public key, or is listed twice")
        return public_keys


class Braintree(Provider):
    """Braintree's notifications, one a request."""

    name: ClassVar[str] = "braintree"
    Source: ClassVar[type[SourceSettings]] = BraintreeSettings
    challenges: ClassVar[bool] = True

    def __init__(self, settings: BraintreeSettings) -> None:
        super().__init__(settings)
        self._keys = [hashlib.sha1(secret.reveal().encode()).digest() for secret in settings.secrets]  # noqa: S324
        self._public_keys = [public_key.encode() for public_key in settings.public_key]
        self._off_loop = OffLoop(settings.source)

    async def authenticate(self, request: Request) -> Proof:
        """Accept any pair whose public key is one of the source's, made with its private key."""
        if len(request.body) <= ON_LOOP_BYTES_MAX:
            number, payload = self._prove(request)
        else:
            number, payload = await self._off_loop.run(self._prove, request)
        return Proof(secret_number=number, signed="body", parse=partial(parse_payload, payload))

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise SignatureError as well: only a valid signature says which text was signed."""
        return parse_payload(self._prove(request)[1])

    def challenge(self, request: Request) -> Answer:
        """Return the proof that this endpoint has the first private key."""
        asked = _CHALLENGE.fullmatch(request.target.partition("?")[2])
        if not asked:
            raise SignatureError("malformed", "the query is not one bt_challenge of 20 to 32 hex digits")
        digest = signing.hmac_sha1(self._keys[0], asked[1].encode())
        return Answer(200, "text/plain", self._public_keys[0] + b"|" + signing.lower_hex(digest))

    def _prove(self, request: Request) -> tuple[int, bytes]:
        """Return the number of the secret, and the text that it signed."""
        fields = _fields(request.body)
        payloads, signatures = fields[PAYLOAD], [_unquoted(value) for value in fields[SIGNATURE]]
        if not payloads or not any(signatures):
            raise SignatureError("missing", "the form has no bt_payload, or no bt_signature")
        pairs = [pair.partition(b"|") for pair in b"&".join(signatures).split(b"&", SIGNATURES_MAX)]
        if len(payloads) > 1 or len(pairs) > SIGNATURES_MAX:
            raise SignatureError("malformed", f"bt_payload is repeated, or more than {SIGNATURES_MAX} signatures came")
        text = _unquoted(payloads[0])
        for number, (public_key, key) in enumerate(zip(self._public_keys, self._keys, strict=True), start=1):
            named = [signature for name, _, signature in pairs if name == public_key]
            for payload in (text, text + b"\n") if named else ():
                with contextlib.suppress(SignatureError):
                    signing.signing_key([key], payload, named, signing.lower_hex, mac=signing.hmac_sha1)
                    return number, payload
        raise SignatureError("mismatch", "no key pair of the source made any of the signatures")


def _fields(body: bytes) -> dict[bytes, list[bytes]]:
    """Return the values of the two fields, still escaped. Raise SignatureError for too many, or too long a name."""
    items = body.split(b"&", FORM_FIELDS_MAX)
    if len(items) > FORM_FIELDS_MAX:
        raise SignatureError("malformed", f"the form has more than {FORM_FIELDS_MAX} fields")
    fields: dict[bytes, list[bytes]] = {SIGNATURE: [], PAYLOAD: []}
    for item in items:
        end = item.find(b"=", 0, FIELD_NAME_BYTES_MAX)
        name = unquote_to_bytes(item[: max(end, 0)])
        if name in fields:
            fields[name].append(item[end + 1 :])
    return fields


def _unquoted(value: bytes) -> bytes:
    """Return the bytes of a form's value.

    It is written in quoted-printable first, whose decoder is in C: `unquote_to_bytes` takes 125 ns for each escape, and
    a stranger may write each byte as one. Text that is not escaped as in a form is never what was signed.
    """
    if b"=" in value:
        value, equals, rest = value.partition(b"=")
        if len(rest) > PADDING_BYTES_MAX:
            raise SignatureError("malformed", "a field of the form has an = within it")
        return _unquoted(value) + equals + unquote_to_bytes(rest)
    return binascii.a2b_qp(value.translate(_QUOTED_PRINTABLE))


def parse_payload(payload: bytes) -> list[ParsedEvent]:
    """Return the one event of what was signed. Raise PayloadError."""
    try:
        notification = read_notification(payload)
    except UnreadableError:
        raise PayloadError("bt_payload is not XML in base64") from None
    kind = text_at(notification, "kind")
    if kind is None:
        raise PayloadError("kind: missing in the notification")
    event_id = digest_id(payload.rstrip(b"\n"))
    return [
        ParsedEvent(
            event_id=event_id,
            type=kind,
            resource=_resource(notification, kind) or event_id,
            occurred_at=first_timestamp(text_at(notification, "timestamp")),
            body=payload,
            account=first_account(*(text_at(notification, path) for path in ACCOUNT)),
        )
    ]


def _resource(notification: Element, kind: str) -> str | None:
    """Return the transaction: refunds and disputes name theirs, so that all its events lock and merge together.

    A local payment names its transaction once it is paid. Until then its resource is its own id, which no refund and no
    dispute names. A charge of a subscription is about the newest transaction; all other events of a subscription are
    about the subscription.
    """
    paths = (f"{NEWEST_CHARGE}/id", *ABOUT) if kind.startswith("subscription_charged") else ABOUT
    return next(filter(None, (text_at(notification, f"{SUBJECT}/{path}") for path in paths)), None)
