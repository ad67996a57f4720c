"""PayPal (REST): five `PAYPAL-*` headers; signed is `<transmission id>|<time>|<webhook id>|<CRC-32 of the body>`.

Source: developer.paypal.com/api/rest/webhooks, and Event.validateReceivedEvent of PayPal-Java-SDK. The signature is
RSA with SHA-256, by the certificate at `PAYPAL-CERT-URL`; the webhook's id is not in the request and is a setting.

* Anyone may write any address there, so it must be https at paypal.com, the certificate must be issued to
  messageverificationcerts[.<environment>].paypal.com, and it must lead to a trusted root. PayPal's libraries bring the
  anchors in paypal.pem along; they are trusted besides the system's.
* Hence `signed = weak`: of the body only the CRC-32 is signed, and anyone can make another body of the same. Whoever
  has one genuine delivery, or a log of one, can have it say anything. Fetch the resource before money moves.
* So the event's id is the transmission id, which is truly signed: with the id in the body (`WH-…`) one delivery could
  be replayed as any number of events. That id stays in the body, for readers.
* PayPal retries for 3 days and does not say whether a retry is signed anew. Without `tolerance_s` any age passes, and
  what keeps a captured request from being applied again is that its transmission id is known.

`WEBHOOK_ID` is what PayPal's simulator signs with, for anyone who asks it to, and is refused.
"""

import re
from binascii import crc32
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import Field, ValidationInfo, field_validator

from providers import signing
from providers.base import ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.certificates import anchors, common_name, is_trusted, read_certificates
from providers.keyring import Fetch, Keyring, pinned_url
from providers.models import Model
from providers.payload import first_id, first_timestamp, get_path, header_text, read_json, time_from_iso
from providers.public_keys import (
    OneOrMore,
    OptionalTolerance,
    PublicSettings,
    require_one,
    rsa_sha256_key,
    with_secrets,
)

TRANSMISSION_ID = "PAYPAL-TRANSMISSION-ID"
TIME = "PAYPAL-TRANSMISSION-TIME"
SIGNATURE = "PAYPAL-TRANSMISSION-SIG"
CERTIFICATE = "PAYPAL-CERT-URL"
ALGORITHM = "PAYPAL-AUTH-ALGO"

DOMAIN = "paypal.com"
ALGORITHM_KNOWN = b"SHA256withRSA"
SIMULATOR = "WEBHOOK_ID"

_ISSUED_TO = re.compile(r"messageverificationcerts(\.[a-z0-9-]+)?\.paypal\.com")
_WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class PayPalSettings(PublicSettings):
    """Its table in sources.toml."""

    webhook_id: OneOrMore = Field(default=(), validate_default=True)
    trusted_certificates: str | None = None
    tolerance_s: OptionalTolerance = None

    @field_validator("webhook_id")
    @classmethod
    def _are_ids(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        ids = with_secrets(require_one(given, info), info.data.get("secrets", ()))
        if not all(map(_WEBHOOK_ID.fullmatch, ids)):
            raise ValueError("one is not the id of a webhook")
        if SIMULATOR in ids:
            raise ValueError(f"{SIMULATOR} is what PayPal's simulator signs with, for anyone")
        return given

    @field_validator("trusted_certificates")
    @classmethod
    def _are_certificates(cls, given: str | None) -> str | None:
        if given is not None:
            try:
                read_certificates(given.encode())
            except ValueError:
                raise ValueError("it is not certificates in PEM") from None
        return given


class _Event(Model):
    id: str
    event_type: str
    resource_type: Any = None
    create_time: Any = None
    resource: Any = None


class PayPal(Provider):
    """PayPal's events, one a request."""

    name: ClassVar[str] = "paypal"
    Source: ClassVar[type[SourceSettings]] = PayPalSettings

    def __init__(self, settings: PayPalSettings, fetch: Fetch | None = None) -> None:
        super().__init__(settings)
        self.keyring = Keyring(read_certificates, fetch)
        self._webhook_ids = [each.encode() for each in with_secrets(settings.webhook_id, settings.secrets)]
        own = settings.trusted_certificates
        self._anchors = anchors(None if own is None else read_certificates(own.encode()), "paypal/paypal.pem")
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Any value of the signature's header, for any of the webhook ids, by a certificate of PayPal's."""
        if _one(request, ALGORITHM) != ALGORITHM_KNOWN:
            raise SignatureError("malformed", f"the {ALGORITHM} header is not {ALGORITHM_KNOWN.decode()}")
        signatures = request.headers.get_all(SIGNATURE)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {SIGNATURE} header")
        transmission = _one(request, TRANSMISSION_ID), _one(request, TIME)
        if any(b"|" in part for part in transmission):
            raise SignatureError("malformed", "the borders between what is signed are not certain")
        ends = [b"%b|%d" % (webhook_id, crc32(request.body)) for webhook_id in self._webhook_ids]
        url = pinned_url(_one(request, CERTIFICATE), DOMAIN)
        chain = await self.keyring.get(url, request.received_at)
        messages = [b"|".join((*transmission, end)) for end in ends]
        number = rsa_sha256_key([_issued_key(chain[0])], messages, signatures)
        if not is_trusted(chain, common_name(chain[0]), request.received_at, self._anchors):
            raise SignatureError("mismatch", "the certificate leads to no trusted root, or is not valid now")
        self._check_clock(request, transmission[1])
        return Proof(secret_number=number, signed="weak")

    def _check_clock(self, request: Request, time: bytes) -> None:
        if self._tolerance_s is not None:
            try:
                signed_at = time_from_iso(time.decode("ascii", errors="replace"))
            except PayloadError:
                raise SignatureError("malformed", f"the {TIME} header is not a time") from None
            signing.check_clock(int(signed_at.timestamp()), request.received_at, self._tolerance_s)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        event = read_json(_Event, request.body)
        transmission_id = header_text(request, TRANSMISSION_ID)
        if transmission_id is None:
            raise PayloadError(f"the {TRANSMISSION_ID} header is not an id")
        return [
            ParsedEvent(
                event_id=transmission_id,
                type=event.event_type,
                resource=_resource(event),
                occurred_at=first_timestamp(event.create_time, header_text(request, TIME)),
            )
        ]


def _one(request: Request, name: str) -> bytes:
    values = request.headers.get_all(name)
    if not any(values):
        raise SignatureError("missing", f"there is no {name} header")
    if len(values) > 1:
        raise SignatureError("malformed", f"the {name} header is there more than once")
    return values[0]


def _issued_key(certificate: x509.Certificate) -> RSAPublicKey:
    key = certificate.public_key()
    if not _ISSUED_TO.fullmatch(common_name(certificate)) or not isinstance(key, RSAPublicKey):
        raise SignatureError("mismatch", "the certificate is not issued to what signs PayPal's messages")
    return key


def _resource(event: _Event) -> str:
    """The payment: what PayPal calls a capture, or a sale in its first API.

    Refunds and disputes name it, and so does an order once it is captured, so that all events of one payment share a
    resource, and lock and merge together. An order or authorization without a capture is about itself; so is an order
    with several, for it is about no one of them, and each of them has an event of its own.
    """
    about = event.resource
    captures = _captures(about)
    captured = captures[0] if len(captures) == 1 else None
    named = (
        get_path(about, "sale_id"),
        get_path(about, "capture_id"),
        get_path(_first(get_path(about, "disputed_transactions")), "seller_transaction_id"),
        _refunded(about) if event.resource_type == "refund" else None,
        captured,
    )
    return first_id(*named, get_path(about, "id"), get_path(about, "dispute_id")) or event.id


def _captures(order: object) -> list[object]:
    """The ids of all captures of all parts of an order."""
    units = [get_path(unit, "payments", "captures") for unit in _items(get_path(order, "purchase_units"))]
    return [get_path(capture, "id") for captures in units for capture in _items(captures)]


def _refunded(refund: object) -> str | None:
    """A refund of the second API names its capture by a link only."""
    hrefs = [get_path(link, "href") for link in _items(get_path(refund, "links")) if get_path(link, "rel") == "up"]
    href = _first(hrefs)
    return (
        href.rpartition("/captures/")[2].partition("/")[0] if isinstance(href, str) and "/captures/" in href else None
    )


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _first(value: object) -> object:
    return next(iter(_items(value)), None)
