"""PayPal (REST): five `PAYPAL-*` headers; signed is `<transmission id>|<time>|<webhook id>|<CRC-32 of the body>`.

Source: developer.paypal.com/api/rest/webhooks, and Event.validateReceivedEvent of PayPal-Java-SDK. The signature is
RSA with SHA-256, by the certificate at `PAYPAL-CERT-URL`. The webhook's id is not in the request; it is a setting.

* Anyone can write any address into that header. So it must be one of PayPal's API, as in its documentation, the
  certificate must be issued to messageverificationcerts[.<environment>].paypal.com, and it must lead to a trusted root.
* Only the CRC-32 of the body is signed, and anyone can write another body with the same one. So events are marked
  `signed = weak`: who has one genuine delivery, or a log of it, can change what it says. `api.py` fetches the resource
  from PayPal's API before money moves.
* The event's id is the transmission id, which is signed. With the id in the body (`WH-…`), one delivery could be
  replayed as any number of events. That id stays in the body, for readers.
* PayPal retries for 3 days and does not document whether a retry is signed anew. Without `tolerance_s` any age is
  accepted; a replayed request is then a duplicate, because its transmission id is known.

`WEBHOOK_ID` is what PayPal's simulator signs with, for anyone who asks it to; it is refused.
"""

import re
from binascii import crc32
from datetime import datetime
from typing import ClassVar

from pydantic import Field, ValidationInfo, field_validator

from providers import signing
from providers.base import ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.certificates import read_certificates
from providers.keyring import Fetch, Keyring, pinned_url
from providers.off_loop import OffLoop
from providers.payload import HEADER_CHARS_MAX, header_text, read_json, time_from_iso
from providers.paypal.certificates import Chain, check_trusted, read_chain, trusted_roots
from providers.paypal.identity import identify, mode_of
from providers.paypal.models import AnyEvent
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

CERTIFICATE_GRACE_S = 7 * 86_400.0
"""How long a certificate is used on where it cannot be fetched again. Its own validity is checked for each request."""

_CERTIFICATE_URL = re.compile(r"https://api(-m)?(\.sandbox)?\.paypal\.com/v1/notifications/certs/[A-Za-z0-9_-]{1,100}")
"""No two paths that PayPal may answer alike: each would be kept as an address of its own, in place of a genuine one.

As in https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270."""

_WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class PayPalSettings(PublicSettings):
    """PayPal's table in sources.toml."""

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


class PayPal(Provider):
    """PayPal's events, one per request."""

    name: ClassVar[str] = "paypal"
    Source: ClassVar[type[SourceSettings]] = PayPalSettings

    def __init__(self, settings: PayPalSettings, fetch: Fetch | None = None) -> None:
        super().__init__(settings)
        self.keyring = Keyring(read_chain, fetch, self._trusts)
        self._webhook_ids = [each.encode() for each in with_secrets(settings.webhook_id, settings.secrets)]
        self._roots = trusted_roots(settings.trusted_certificates)
        self._tolerance_s = settings.tolerance_s
        self._off_loop = OffLoop(settings.source)

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the signature's header, for any of the webhook ids, by a certificate of PayPal's.

        Raise SignatureError, or UnavailableError where the certificate cannot be fetched.
        """
        if _one(request, ALGORITHM) != ALGORITHM_KNOWN:
            raise SignatureError("malformed", f"the {ALGORITHM} header is not {ALGORITHM_KNOWN.decode()}")
        signatures = request.headers.get_all(SIGNATURE)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {SIGNATURE} header")
        transmission_id, time = _one(request, TRANSMISSION_ID), _one(request, TIME)
        if b"|" in transmission_id or b"|" in time:
            raise SignatureError("malformed", "a | in a header blurs the borders between the signed parts")
        if len(transmission_id) > HEADER_CHARS_MAX or len(time) > HEADER_CHARS_MAX:
            raise SignatureError("malformed", f"the id or the time has more than {HEADER_CHARS_MAX} characters")
        checksum = crc32(request.body)
        messages = [b"%b|%b|%b|%d" % (transmission_id, time, each, checksum) for each in self._webhook_ids]
        url = _certificate_url(_one(request, CERTIFICATE))
        chain = await self.keyring.get(url, request.received_at, grace_s=CERTIFICATE_GRACE_S)
        number = await rsa_sha256_key([chain.key()], messages, signatures, self._off_loop)
        check_trusted(chain.certificates, request.received_at, self._roots)
        self.keyring.prove(url)
        self.certificate_expires_at = chain.expires_at
        self._check_clock(request, time)
        return Proof(secret_number=number, signed="weak")

    def _trusts(self, chain: Chain, at: datetime) -> bool:
        """Return whether a certificate may replace one that verified a genuine request."""
        try:
            chain.key()
            check_trusted(chain.certificates, at, self._roots)
        except SignatureError:
            return False
        return True

    def _check_clock(self, request: Request, time: bytes) -> None:
        if self._tolerance_s is not None:
            try:
                signed_at = time_from_iso(time.decode("ascii", errors="replace"))
            except PayloadError:
                raise SignatureError("malformed", f"the {TIME} header is not a time") from None
            signing.check_clock(int(signed_at.timestamp()), request.received_at, self._tolerance_s)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(AnyEvent, request.body)
        transmission_id = header_text(request, TRANSMISSION_ID)
        if transmission_id is None:
            raise PayloadError(f"the {TRANSMISSION_ID} header is not an id")
        mode = mode_of(event, header_text(request, CERTIFICATE))
        return [identify(event, transmission_id, mode, header_text(request, TIME))]


def _certificate_url(text: bytes) -> str:
    """Return the address of a certificate. Raise SignatureError for one that PayPal does not document."""
    url = pinned_url(text, DOMAIN)
    if not _CERTIFICATE_URL.fullmatch(url):
        raise SignatureError("malformed", "the address of the key is not one of PayPal's API")
    return url


def _one(request: Request, name: str) -> bytes:
    """Return the value of a header that must come exactly once. Raise SignatureError."""
    values = request.headers.get_all(name)
    if not any(values):
        raise SignatureError("missing", f"there is no {name} header")
    if len(values) > 1:
        raise SignatureError("malformed", f"the {name} header is there more than once")
    return values[0]
