"""Paddle, signed by its own library."""

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_billing.Notifications.PaddleSignature import PaddleSignature

from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders


class PaddleCase(Case):
    provider = "paddle"
    secrets = ("pdl_ntfset_first-secret", "pdl_ntfset_second-secret", "pdl_ntfset_third-secret")
    signature = b"Paddle-Signature"
    timed = True
    expected = Expected("evt_1", "adjustment.created", "txn_1", JUST_BEFORE.replace(microsecond=286848))
    settings: ClassVar[Mapping[str, object]] = {"tolerance_s": 300}

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        digest = PaddleSignature.calculate_hmac(secret, b"%d:" % at_s + body).hexdigest()
        return [(self.signature, f"ts={at_s};h1={digest}".encode())]

    def event(self, text: str) -> dict[str, Any]:
        adjustment = {"id": "adj_1", "action": "refund", "transaction_id": "txn_1", "reason": text} | {
            "status": "pending_approval",
            "currency_code": "EUR",
            "totals": {"total": "1099"},
        }
        event = {"event_id": "evt_1", "event_type": "adjustment.created", "notification_id": "ntf_1"}
        return {**event, "occurred_at": "2026-09-17T11:59:58.286848Z", "data": adjustment}
