"""Square. Its library verifies only, so Python's hmac signs."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders

URL = "https://example.org:8443/webhooks/square/?tenant=1"


class SquareCase(Case):
    provider = "square"
    secrets = ("first-signature-key", "second-signature-key", "third-signature-key")
    signature = b"x-square-hmacsha256-signature"
    expected = Expected("evt_1", "payment.updated", "pay_1", JUST_BEFORE.replace(microsecond=500000))
    settings: ClassVar[Mapping[str, object]] = {"notification_url": URL}

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        digest = hmac.new(secret.encode(), URL.encode() + body, hashlib.sha256).digest()
        return [(self.signature, base64.b64encode(digest))]

    def event(self, text: str) -> dict[str, Any]:
        payment = {
            "id": "pay_1",
            "amount_money": {"amount": 1099, "currency": "EUR"},
            "status": "PENDING",
            "note": text,
        }
        data = {"type": "payment", "id": "pay_1", "object": {"payment": payment}}
        return {"event_id": "evt_1", "type": "payment.updated", "created_at": "2026-09-17T11:59:58.5Z", "data": data}
