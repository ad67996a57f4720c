"""Standard Webhooks, signed by the reference library."""

from datetime import UTC, datetime
from typing import Any

import standardwebhooks

from gateway.providers.signing import hmac_sha256, padded_base64
from tests.support.cases.base import NOW_S, Case, RawHeaders


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
