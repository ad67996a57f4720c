"""Braintree: a form with `bt_signature` and `bt_payload`, the latter XML in base64; and a challenge by GET.

Source: developer.paypal.com/braintree/docs/guides/webhooks, and the webhook gateways of the braintree package.

* bt_signature is `<public key>|<hex HMAC-SHA1>` pairs joined by `&`. The key is the SHA-1 of the private key; what is
  signed is the text of bt_payload, with a line end that some forms lose. The form has to be taken apart to get there.
* An API key is a pair: `public_key` has the public one of each secret, in their order. A public key is only a name: a
  pair of another name is not tried.
* There is no event id: it is made of bt_payload, without the line ends, so that either form of it is the same event.
  The event is kept with bt_payload as it was signed, which is base64 of XML.
* GET `?bt_challenge=<20 to 32 hex digits>` asks for `<public key>|<hex HMAC-SHA1 of it>`. Nothing else is signed for a
  stranger; and what is, is no payload, since no XML is written in hex digits alone.
"""

import base64
import binascii
import contextlib
import hashlib
import re
from typing import ClassVar
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import ValidationInfo, field_validator

from providers import signing
from providers.base import Answer, ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.payload import digest_id, first_timestamp
from providers.public_keys import OneOrMore

SIGNATURE = b"bt_signature"
PAYLOAD = b"bt_payload"

FORM_FIELDS_MAX = 20
SIGNATURES_MAX = 20

_CHALLENGE = re.compile("bt_challenge=([a-f0-9]{20,32})")
_PUBLIC_KEY = re.compile("[!-%'-{}~]{1,255}")
"""Printable, without the `&` and `|` that separate pairs and their halves."""

CHARGE = "subscription/transactions/transaction/id"
ABOUT = (
    "transaction/refunded-transaction-id",
    "transaction/id",
    "*/transaction/id",
    "*/payment-id",
    "*/id",
    "*/token",
    "*/merchant-public-id",
)
"""Where a notification's subject names the payment it is about, in this order; else what it is about."""


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
        self._proven: tuple[bytes, bytes] | None = None
        """The latest body and what was signed in it, so that the form is not taken apart and proven again."""

    async def authenticate(self, request: Request) -> Proof:
        """Any pair whose public key is one of the source's, made with its private key."""
        number, payload = self._prove(request)
        self._proven = request.body, payload
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        proven, self._proven = self._proven, None
        payload = proven[1] if proven and proven[0] is request.body else self._prove(request)[1]
        notification = _xml(payload)
        kind = _text(notification, "kind")
        if kind is None:
            raise PayloadError("kind: missing in the notification")
        event_id = digest_id(payload.rstrip(b"\n"))
        return [
            ParsedEvent(
                event_id=event_id,
                type=kind,
                resource=_resource(notification, kind) or event_id,
                occurred_at=first_timestamp(_text(notification, "timestamp")),
                body=payload,
            )
        ]

    def challenge(self, request: Request) -> Answer:
        """The proof that this endpoint has the first private key."""
        asked = _CHALLENGE.fullmatch(request.target.partition("?")[2])
        if not asked:
            raise SignatureError("malformed", "the query is not one bt_challenge of 20 to 32 hex digits")
        digest = signing.hmac_sha1(self._keys[0], asked[1].encode())
        return Answer(200, "text/plain", self._public_keys[0] + b"|" + signing.lower_hex(digest))

    def _prove(self, request: Request) -> tuple[int, bytes]:
        """The number of the secret, and the text that it signed."""
        form = _form(request.body)
        payloads, signatures = form.get(PAYLOAD, []), form.get(SIGNATURE, [])
        if not payloads or not any(signatures):
            raise SignatureError("missing", "the form has no bt_payload, or no bt_signature")
        pairs = [pair.partition(b"|") for pair in b"&".join(signatures).split(b"&")]
        if len(payloads) > 1 or len(pairs) > SIGNATURES_MAX:
            raise SignatureError("malformed", f"bt_payload is repeated, or more than {SIGNATURES_MAX} signatures came")
        for number, (public_key, key) in enumerate(zip(self._public_keys, self._keys, strict=True), start=1):
            named = [signature for name, _, signature in pairs if name == public_key]
            for payload in (payloads[0], payloads[0] + b"\n"):
                with contextlib.suppress(SignatureError):
                    signing.signing_key([key], payload, named, signing.lower_hex, mac=signing.hmac_sha1)
                    return number, payload
        raise SignatureError("mismatch", "no key pair of the source made any of the signatures")


def _form(body: bytes) -> dict[bytes, list[bytes]]:
    """The fields of a form, whatever bytes they hold."""
    items = body.split(b"&", FORM_FIELDS_MAX)
    if len(items) > FORM_FIELDS_MAX:
        raise SignatureError("malformed", f"the form has more than {FORM_FIELDS_MAX} fields")
    form: dict[bytes, list[bytes]] = {}
    for name, _, value in (item.replace(b"+", b" ").partition(b"=") for item in items):
        form.setdefault(unquote_to_bytes(name), []).append(unquote_to_bytes(value))
    return form


def _xml(payload: bytes) -> Element:
    """The notification. Document types, and with them entities, are refused."""
    try:
        decoded = base64.b64decode(payload.replace(b"\n", b""), validate=True)
        root: Element = fromstring(decoded, forbid_dtd=True)
    except (binascii.Error, ParseError, DefusedXmlException, LookupError, ValueError):
        raise PayloadError("bt_payload is not XML in base64") from None
    return root


def _text(element: Element, place: str) -> str | None:
    text = element.findtext(place)
    return text.strip() or None if text else None


def _resource(notification: Element, kind: str) -> str | None:
    """The transaction: refunds and disputes name theirs, so that all its events lock and merge together.

    So does a local payment once it is paid; its own id, which no refund and no dispute names, is told until then.

    A charge of a subscription is about the newest of its transactions, which is the first; what else happens to a
    subscription is about the subscription.
    """
    places = (CHARGE, *ABOUT) if kind.startswith("subscription_charged") else ABOUT
    return next(filter(None, (_text(notification, f"subject/{place}") for place in places)), None)
