"""One case per provider: how a genuine request is signed, with code that is not ours wherever a package has some.

Adding a provider means adding a case here; the conformance suite runs over them all.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import standardwebhooks
import stripe
from hypothesis import strategies as st

from gateway.providers import PROVIDERS
from gateway.providers.base import Headers, Provider, Request
from gateway.providers.signing import hmac_sha256, lower_hex, padded_base64

RawHeaders = list[tuple[bytes, bytes]]

NOW = datetime(2026, 9, 17, 12, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())

TEXT = st.text(min_size=1, max_size=40)


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it was signed; tests change one part and send the rest."""

    headers: RawHeaders
    body: bytes

    def request(self, received_at: datetime = NOW) -> Request:
        return Request("POST", "/webhooks/a", Headers(self.headers), self.body, received_at)

    def with_body(self, body: bytes) -> "Signed":
        return Signed(self.headers, body)

    def with_header(self, name: bytes, value: bytes) -> "Signed":
        """The same request with another value in one header, wherever that stood."""
        return Signed([(key, value if key == name else old) for key, old in self.headers], self.body)

    def without_header(self, name: bytes) -> "Signed":
        return Signed([(key, value) for key, value in self.headers if key != name], self.body)


class Case(ABC):
    """What the conformance suite must know of one provider."""

    provider: ClassVar[str]
    secrets: ClassVar[tuple[str, str, str]]
    signature: ClassVar[bytes]
    """The header that holds the signature."""
    timed: ClassVar[bool]
    """Whether a time is signed and a tolerance holds."""

    def source(self, *secrets: str, **settings: object) -> Provider:
        """A source of this provider, with the first secret unless told otherwise."""
        kind = PROVIDERS[self.provider]
        table = {"source": "a", "provider": self.provider, "secrets": secrets or self.secrets[:1], **settings}
        return kind(kind.Source.model_validate(table))

    @abstractmethod
    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        """The headers as the provider's own code makes them."""

    @abstractmethod
    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        """The same for any bytes, where the provider's code only takes text."""

    @abstractmethod
    def event(self, text: str) -> dict[str, Any]:
        """A body the provider could send, with `text` somewhere in it."""

    def signed(self, secret: str | None = None, at_s: int = NOW_S) -> Signed:
        """A genuine request."""
        body = json.dumps(self.event("Café, 2 €"))
        return Signed(self.sign(body, secret or self.secrets[0], at_s), body.encode())


class StripeCase(Case):
    provider = "stripe"
    secrets = ("whsec_first-secret", "whsec_second-secret", "whsec_third-secret")
    signature = b"Stripe-Signature"
    timed = True

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        header: str = stripe.WebhookSignature.generate_signature_header(body, secret, at_s)
        return [(self.signature, header.encode())]

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        timestamp = b"%d" % at_s
        digest = hmac_sha256(secret.encode(), timestamp + b"." + body)
        return [(self.signature, b"t=" + timestamp + b",v1=" + lower_hex(digest))]

    def event(self, text: str) -> dict[str, Any]:
        intent = {"id": "pi_1", "object": "payment_intent", "amount": 1099, "currency": "eur", "description": text}
        return {"id": "evt_1", "type": "payment_intent.succeeded", "created": NOW_S - 5, "data": {"object": intent}}


class StandardWebhooksCase(Case):
    provider = "standard_webhooks"
    secrets = (  # 24 bytes and so without padding: every character of them counts
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyC",
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    )
    signature = b"webhook-signature"
    timed = True

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        signature = standardwebhooks.Webhook(secret).sign("msg_1", datetime.fromtimestamp(at_s, UTC), body)
        return self._headers(at_s, signature.encode())

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        key = standardwebhooks.Webhook(secret)._whsecret
        return self._headers(at_s, b"v1," + padded_base64(hmac_sha256(key, b"msg_1.%d." % at_s + body)))

    def event(self, text: str) -> dict[str, Any]:
        return {"type": "order.paid", "timestamp": "2026-09-17T11:59:58Z", "data": {"id": "ord_1", "note": text}}

    def _headers(self, at_s: int, signature: bytes) -> RawHeaders:
        return [(b"webhook-id", b"msg_1"), (b"webhook-timestamp", b"%d" % at_s), (self.signature, signature)]


class GenericHmacCase(Case):
    provider = "hmac"
    secrets = ("first secret", "second secret", "third secret")
    signature = b"X-Signature"
    timed = False

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        return [(self.signature, stripe.WebhookSignature._compute_signature(body, secret).encode())]

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002
        return [(self.signature, lower_hex(hmac_sha256(secret.encode(), body)))]

    def event(self, text: str) -> dict[str, Any]:
        event = {"transaction_id": "t_1", "status": "COMPLETED", "amount": "10.99", "currency": "EUR", "note": text}
        return {**event, "timestamp": "2026-09-17T11:59:58Z"}


CASES: Mapping[str, Case] = {case.provider: case for case in (StripeCase(), StandardWebhooksCase(), GenericHmacCase())}
