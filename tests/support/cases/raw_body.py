"""The providers that sign the raw body in one header. Python's hmac signs, because few of their packages can."""

import base64
import hashlib
import hmac
import json
from typing import Any, ClassVar
from urllib.parse import urlencode

from providers.base import Provider
from providers.payload import array_items
from tests.support.cases.base import JUST_BEFORE, NOW, NOW_S, Case, Expected, RawHeaders, Signed


class RawBodyCase(Case):
    secrets = ("first secret", "second secret", "third secret")
    digest: ClassVar[str] = "sha256"
    prefix: ClassVar[bytes] = b""
    hexadecimal: ClassVar[bool] = True

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        digest = hmac.new(secret.encode(), body, self.digest).digest()
        return [
            (self.signature, self.prefix + (digest.hex().encode() if self.hexadecimal else base64.b64encode(digest)))
        ]


class GitHubCase(RawBodyCase):
    provider = "github"
    signature = b"X-Hub-Signature-256"
    prefix = b"sha256="
    unsigned = ((b"X-GitHub-Event", b"sponsorship"), (b"X-GitHub-Delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958"))
    dated = False
    expected = Expected("sponsorship:{sha256}", "sponsorship.created", "S_1", None)

    def event(self, text: str) -> dict[str, Any]:
        return {
            "action": "created",
            "sponsorship": {"node_id": "S_1", "note": text},
            "repository": {"full_name": "a/b"},
        }


class CheckoutCase(RawBodyCase):
    provider = "checkout"
    signature = b"Cko-Signature"
    expected = Expected("evt_1", "payment_captured", "pay_1", JUST_BEFORE.replace(microsecond=882154))

    def event(self, text: str) -> dict[str, Any]:
        data = {"id": "pay_1", "action_id": "act_1", "amount": 1099, "currency": "EUR", "response_summary": text}
        return {"id": "evt_1", "type": "payment_captured", "created_on": "2026-09-17T11:59:58.8821546Z", "data": data}


class ShopifyCase(RawBodyCase):
    provider = "shopify"
    signature = b"X-Shopify-Hmac-SHA256"
    hexadecimal = False
    expected = Expected("orders/paid:{sha256}", "orders/paid", "820982911946154508", JUST_BEFORE)
    unsigned = (
        (b"X-Shopify-Topic", b"orders/paid"),
        (b"X-Shopify-Webhook-Id", b"b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
        (b"X-Shopify-Triggered-At", b"2026-09-17T11:59:59.123456789Z"),
    )

    def event(self, text: str) -> dict[str, Any]:
        order = {"id": 820982911946154508, "currency": "EUR", "total_price": "10.99", "note": text}
        return {**order, "financial_status": "paid", "updated_at": "2026-09-17T13:59:58+02:00"}


class RazorpayCase(RawBodyCase):
    provider = "razorpay"
    signature = b"X-Razorpay-Signature"
    expected = Expected("{sha256}", "refund.processed", "pay_1", NOW)
    unsigned = ((b"x-razorpay-event-id", b"Ev1"),)

    def event(self, text: str) -> dict[str, Any]:
        payment = {"entity": {"id": "pay_1", "amount": 1099, "currency": "INR", "description": text}}
        refund = {"entity": {"id": "rfnd_1", "payment_id": "pay_1", "amount": 1099, "currency": "INR"}}
        payload = {"refund": refund, "payment": payment}
        return {"event": "refund.processed", "contains": ["refund", "payment"], "payload": payload, "created_at": NOW_S}


class MollieCase(RawBodyCase):
    provider = "mollie"
    signature = b"X-Mollie-Signature"
    expected = Expected("event_1", "payment-link.paid", "pl_1", JUST_BEFORE)
    prefix = b"sha256="

    def event(self, text: str) -> dict[str, Any]:
        link = {"resource": "payment-link", "id": "pl_1", "amount": {"value": "10.99", "currency": "EUR"}, "note": text}
        event = {"resource": "event", "id": "event_1", "type": "payment-link.paid", "entityId": "pl_1"}
        return {**event, "createdAt": "2026-09-17T11:59:58.0Z", "_embedded": {"entity": link}}


class GoCardlessCase(RawBodyCase):
    provider = "gocardless"
    signature = b"Webhook-Signature"
    expected = Expected("EV1", "payments.paid_out", "PM1", JUST_BEFORE.replace(microsecond=404000))

    def event(self, text: str) -> dict[str, Any]:
        event = {
            "id": "EV1",
            "created_at": "2026-09-17T11:59:58.404Z",
            "resource_type": "payments",
            "action": "paid_out",
        }
        return {"events": [{**event, "links": {"payment": "PM1"}, "details": {"description": text}}], "meta": {}}

    def kept(self, body: bytes) -> bytes:
        return array_items(body, "events")[0]

    def expected_payload(self, signed: Signed) -> bytes:
        """Return the one item, without the batch around it."""
        body = signed.sent()[1]
        return body[body.index(b"[") + 1 : body.rindex(b"]")]


class PaystackCase(RawBodyCase):
    provider = "paystack"
    signature = b"x-paystack-signature"
    digest = "sha512"
    expected = Expected("charge.success:302961", "charge.success", "ref_1", JUST_BEFORE)

    def event(self, text: str) -> dict[str, Any]:
        data = {"id": 302961, "reference": "ref_1", "amount": 1099, "currency": "NGN", "message": text}
        return {"event": "charge.success", "data": {**data, "paid_at": "2026-09-17T11:59:58.000Z"}}


class LemonSqueezyCase(RawBodyCase):
    provider = "lemonsqueezy"
    signature = b"X-Signature"
    expected = Expected("{sha256}", "order_created", "orders:1", JUST_BEFORE)
    unsigned = ((b"X-Event-Name", b"order_created"),)

    def event(self, text: str) -> dict[str, Any]:
        attributes = {"total": 1099, "currency": "EUR", "user_name": text, "created_at": "2026-09-17T11:59:58.000000Z"}
        return {
            "meta": {"event_name": "order_created"},
            "data": {"type": "orders", "id": "1", "attributes": attributes},
        }


class FlutterwaveCase(RawBodyCase):
    provider = "flutterwave"
    signature = b"flutterwave-signature"
    hexadecimal = False
    expected = Expected("wbk_1:charge.completed:chg_1:succeeded", "charge.completed", "chg_1", NOW)

    def event(self, text: str) -> dict[str, Any]:
        data = {"id": "chg_1", "amount": 1099, "currency": "NGN", "status": "succeeded", "description": text}
        return {"webhook_id": "wbk_1", "timestamp": NOW_S * 1000, "type": "charge.completed", "data": data}


class FlutterwaveV3Case(RawBodyCase):
    """Flutterwave v3, which signs nothing: it sends the secret itself."""

    provider = "flutterwave_v3"
    secrets = ("first-secret", "second-secret", "third-secret")
    signature = b"verif-hash"
    covers = "reference"
    expected = Expected("charge.completed:285959875:successful", "charge.completed", "Links-1", JUST_BEFORE)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002
        return [(self.signature, secret.encode())]

    def event(self, text: str) -> dict[str, Any]:
        data = {
            "id": 285959875,
            "tx_ref": "Links-1",
            "flw_ref": "Peter/FLW1",
            "status": "successful",
            "narration": text,
        }
        return {"event": "charge.completed", "data": {**data, "created_at": "2026-09-17T11:59:58.000Z"}}


class KlarnaCase(RawBodyCase):
    """Klarna, whose requests name the id of the secret."""

    provider = "klarna"
    signature = b"Klarna-Signature"
    expected = Expected("d9f9b1a0", "payment.request.state-change.completed", "krn:payment:eu1:request:1", JUST_BEFORE)

    def key_id(self, secret: str) -> str:
        number = self.secrets.index(secret) if secret in self.secrets else 0
        return f"krn:partner:global:notification:signing-key:{number}"

    def source(self, *secrets: str, **settings: object) -> Provider:
        ids = [self.key_id(secret) for secret in secrets or self.secrets[:1]]
        return super().source(*secrets, **{"key_ids": ids, **settings})

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        named = (b"Klarna-Signing-Key-Id", self.key_id(secret).encode())
        return [*super().sign_bytes(body, secret, at_s), named]

    def event(self, text: str) -> dict[str, Any]:
        event = {"event_id": "d9f9b1a0", "event_type": "payment.request.state-change.completed", "event_version": "v2"}
        payload = {"payment_request_id": "krn:payment:eu1:request:1", "state": "COMPLETED", "note": text}
        return {"metadata": {**event, "occurred_at": "2026-09-17T11:59:58Z"}, "payload": payload}


class PagarmeCase(RawBodyCase):
    """Pagar.me, which sends a form."""

    provider = "pagarme"
    signature = b"X-Hub-Signature"
    prefix = b"sha1="
    digest = "sha1"
    expected = Expected(
        "2727403:paid:{sha256}", "transaction_status_changed.paid", "2727403", JUST_BEFORE.replace(microsecond=216000)
    )

    def event(self, text: str) -> dict[str, Any]:
        transaction = {"id": "2727403", "date_updated": "2026-09-17T11:59:58.216Z", "amount": "1099", "note": text}
        event = {"id": "2727403", "fingerprint": "bbf6", "event": "transaction_status_changed", "object": "transaction"}
        return {**event, "current_status": "paid", "transaction": transaction}

    def write(self, event: dict[str, Any], indent: int | None = None, *, ascii_only: bool = True) -> str:  # noqa: ARG002
        fields: list[tuple[str, str]] = []
        for name, value in event.items():
            nested = value.items() if isinstance(value, dict) else ()
            fields += [(f"{name}[{inner}]", _plain(each)) for inner, each in nested] or [(name, _plain(value))]
        return urlencode(fields, errors="replace")


class PagBankCase(RawBodyCase):
    """PagBank, which sends the plain digest of secret, hyphen and body."""

    provider = "pagbank"
    signature = b"x-authenticity-token"
    expected = Expected("paid:{sha256}", "order.paid", "ORDE_1", JUST_BEFORE.replace(microsecond=27000))

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002
        return [(self.signature, hashlib.sha256(secret.encode() + b"-" + body).hexdigest().encode())]

    def event(self, text: str) -> dict[str, Any]:
        charge = {"id": "CHAR_1", "status": "PAID", "amount": {"value": 1099, "currency": "BRL"}, "description": text}
        return {
            "id": "ORDE_1",
            "reference_id": "r_1",
            "created_at": "2026-09-17T08:59:58.027-03:00",
            "charges": [charge],
        }


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
