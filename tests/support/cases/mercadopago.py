"""Mercado Pago. Its library verifies and does not sign: the manifest is as it documents it, the digest Python's own."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders

DATA_ID = "ord01jq4s4ky8hwq6na5pxb65b3d3"
REQUEST_ID = "2066ca19-c6f1-498a-be75-1923005edd06"


def signature(secret: str, ts: int, data_id: str | None = DATA_ID, request_id: str | None = REQUEST_ID) -> bytes:
    parts = [("id", data_id), ("request-id", request_id), ("ts", ts)]
    manifest = "".join(f"{name}:{value};" for name, value in parts if value not in (None, ""))
    digest = hmac.new(secret.encode(), manifest.encode(), hashlib.sha256).hexdigest()
    return f"ts={ts},v1={digest}".encode()


class MercadoPagoCase(Case):
    provider = "mercadopago"
    secrets = ("first secret", "second secret", "third secret")
    signature = b"x-signature"
    timed = True
    covers = "reference"
    expected = Expected(f"id:{DATA_ID};request-id:{REQUEST_ID};ts:{NOW_S}000;", "payment.updated", DATA_ID, JUST_BEFORE)
    settings: ClassVar[Mapping[str, object]] = {"tolerance_s": 300}
    target = f"/webhooks/a?data.id={DATA_ID}&type=payment"
    unsigned = ((b"x-request-id", REQUEST_ID.encode()),)
    """Signed where it is there; a request without it may be genuine too."""

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no body is signed
        return [(b"x-signature", signature(secret, at_s * 1000))]

    def event(self, text: str) -> dict[str, Any]:
        event = {"id": 123456, "type": "payment", "action": "payment.updated", "data": {"id": DATA_ID}}
        return {**event, "date_created": "2026-09-17T11:59:58Z", "live_mode": True, "note": text}
