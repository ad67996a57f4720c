"""Coinbase, signed with Python's hmac as hook0 documents it: its package knows only the retired Commerce."""

import hashlib
import hmac
from typing import Any

from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders


def v0(body: bytes, secret: str, at_s: int = NOW_S) -> bytes:
    return hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest().encode()


def v1(body: bytes, secret: str, at_s: int = NOW_S, **covered: str) -> bytes:
    names = " ".join(name.replace("_", "-") for name in covered)
    message = f"{at_s}.{names}.{'.'.join(covered.values())}.".encode() + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().encode()


class CoinbaseCase(Case):
    provider = "coinbase"
    secrets = ("a-first-secret", "a-second-secret", "a-third-secret")
    signature = b"X-Hook0-Signature"
    timed = True
    expected = Expected("e_1", "payments.transfers.completed", "transfer_1", JUST_BEFORE)

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        strong = v1(body, secret, at_s, x_event_id="evt-1", x_event_type="payments.transfers.completed")
        value = b"t=%d,h=x-event-id x-event-type,v1=%b" % (at_s, strong)
        covered = [(b"X-Event-Id", b"evt-1"), (b"X-Event-Type", b"payments.transfers.completed")]
        return [*covered, (self.signature, value)]

    def event(self, text: str) -> dict[str, Any]:
        data = {"transferId": "transfer_1", "createdAt": "2026-09-17T11:00:00Z", "status": "completed", "note": text}
        event = {"eventId": "e_1", "eventType": "payments.transfers.completed", "timestamp": "2026-09-17T11:59:58Z"}
        return {**event, "data": data}
