"""The `hmac` provider, signed with Python's own hmac."""

import hashlib
import hmac
from typing import Any

from providers.signing import hmac_sha256, lower_hex
from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders


class GenericHmacCase(Case):
    provider = "hmac"
    secrets = ("first secret", "second secret", "third secret")
    signature = b"X-Signature"
    expected = Expected("t_1:COMPLETED", "payment.completed", "t_1", JUST_BEFORE)

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        return [(self.signature, hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest().encode())]

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002
        return [(self.signature, lower_hex(hmac_sha256(secret.encode(), body)))]

    def event(self, text: str) -> dict[str, Any]:
        event = {"transaction_id": "t_1", "status": "COMPLETED", "amount": "10.99", "currency": "EUR", "note": text}
        return {**event, "timestamp": "2026-09-17T11:59:58Z"}
