"""Standard Webhooks and its dialects, signed by the reference library and by Svix's own."""

import base64
from datetime import UTC, datetime
from typing import Any, ClassVar

import standardwebhooks
import svix.webhooks

from providers.signing import hmac_sha256, padded_base64
from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders


class StandardWebhooksCase(Case):
    provider = "standard_webhooks"
    secrets = (  # 24 bytes and so without padding: every character of them counts
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyC",
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    )
    signature = b"webhook-signature"
    timed = True
    expected = Expected("msg_1", "order.paid", "ord_1", JUST_BEFORE)
    prefix: ClassVar[bytes] = b"webhook-"

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        signature = standardwebhooks.Webhook(secret).sign("msg_1", datetime.fromtimestamp(at_s, UTC), body)
        return self._headers(at_s, signature.encode())

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        return self._headers(at_s, b"v1," + padded_base64(hmac_sha256(key, b"msg_1.%d." % at_s + body)))

    def event(self, text: str) -> dict[str, Any]:
        return {"type": "order.paid", "timestamp": "2026-09-17T11:59:58Z", "data": {"id": "ord_1", "note": text}}

    def _headers(self, at_s: int, signature: bytes) -> RawHeaders:
        values = {b"id": b"msg_1", b"timestamp": b"%d" % at_s, b"signature": signature}
        return [(self.prefix + name, value) for name, value in values.items()]


class SvixCase(StandardWebhooksCase):
    provider = "svix"
    signature = b"svix-signature"
    prefix = b"svix-"

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        signature = svix.webhooks.Webhook(secret).sign("msg_1", datetime.fromtimestamp(at_s, UTC), body)
        return self._headers(at_s, signature.encode())


class PolarCase(StandardWebhooksCase):
    """Polar, signed like the sender's code: the reference library, given the base64 of the secret's text."""

    provider = "polar"
    secrets = ("polar_whs_first-secret", "polar_whs_second-secret", "polar_whs_third-secret")

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return super().sign(body, base64.b64encode(secret.encode()).decode(), at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return super().sign_bytes(body, base64.b64encode(secret.encode()).decode(), at_s)
