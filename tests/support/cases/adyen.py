"""Adyen, signed by its own library."""

import binascii
import json
from dataclasses import dataclass
from typing import Any

import Adyen.util

from providers.payload import array_items
from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders, Signed

SIGNATURE = b"hmacSignature"
PLACE = "@signature@"
"""Where an item's signature will stand; in its place the item is without one."""

SECRETS = (  # without letters, whose other case would be the same key
    "4478235475112233069105439321108036710668909200570550480926206056",
    "0102030405060708091011121314151617181920212223242526272829303132",
    "9998979695949392919089888786858483828180797877767574737271706968",
)


@dataclass(frozen=True, slots=True)
class SignedItem(Signed):
    """A batch of one. Its signature, which counts as a header, is put into the item."""

    def sent(self) -> tuple[RawHeaders, bytes]:
        body = self.body.replace(f'"{PLACE}"'.encode(), b"null")
        for name, value in self.headers:
            if name == SIGNATURE:
                body = self.body.replace(PLACE.encode(), json.dumps(value.decode("latin-1"))[1:-1].encode())
        return [*self.unsigned], body


class AdyenCase(Case):
    provider = "adyen"
    secrets = SECRETS
    signature = SIGNATURE
    covers = "fields"
    expected = Expected("CAPTURE:8515131751004933:true", "CAPTURE", "7914073381342284", JUST_BEFORE)
    sent_as = SignedItem

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        try:
            item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
            return [(SIGNATURE, Adyen.util.generate_notification_sig(item, secret))]
        except (KeyError, IndexError, TypeError, ValueError, RecursionError, binascii.Error):
            return [(SIGNATURE, b"A" * 43 + b"=")]

    def event(self, text: str) -> dict[str, Any]:
        item = {
            "additionalData": {"hmacSignature": PLACE},
            "pspReference": "8515131751004933",
            "originalReference": "7914073381342284",
            "merchantAccountCode": "TestMerchant",
            "merchantReference": text,
            "amount": {"currency": "EUR", "value": 1130},
            "eventCode": "CAPTURE",
            "success": "true",
            "eventDate": "2026-09-17T13:59:58+02:00",
        }
        return {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]}

    def kept(self, body: bytes) -> bytes:
        return array_items(self.deliver_bytes(body).sent()[1], "notificationItems")[0]

    def expected_payload(self, signed: Signed) -> bytes:
        """The one item, without the batch around it."""
        body = signed.sent()[1]
        return body[body.index(b"[") + 1 : body.rindex(b"]")]


class AdyenPlatformCase(Case):
    provider = "adyen_platform"
    secrets = SECRETS
    signature = b"HmacSignature"
    expected = Expected("{sha256}", "balancePlatform.transfer.updated", "3JNRAB5ODDNN7YKW", JUST_BEFORE)
    unsigned = ((b"Protocol", b"HmacSHA256"),)

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        return [(self.signature, Adyen.util.generate_payload_sig(body, secret))]

    def event(self, text: str) -> dict[str, Any]:
        data = {"id": "3JNRAB5ODDNN7YKW", "status": "booked", "creationDate": "2026-09-17T10:00:00Z", "note": text}
        event = {"type": "balancePlatform.transfer.updated", "environment": "test"}
        return {**event, "timestamp": "2026-09-17T13:59:58+02:00", "data": data}
