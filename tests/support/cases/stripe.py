"""Stripe, signed by its own library."""

from datetime import UTC, datetime
from typing import Any

import stripe

from providers.signing import hmac_sha256, lower_hex
from tests.support.cases.base import NOW_S, Case, Expected, RawHeaders


class StripeCase(Case):
    provider = "stripe"
    secrets = ("whsec_first-secret", "whsec_second-secret", "whsec_third-secret")
    signature = b"Stripe-Signature"
    timed = True
    expected = Expected("evt_1", "payment_intent.succeeded", "pi_1", datetime(2026, 9, 17, 11, 59, 55, tzinfo=UTC))

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
