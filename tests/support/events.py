"""Events as providers send them, signed by code that is not ours, and as stream entries."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stripe import WebhookSignature

from contract.event import Event

STRIPE_SECRET = "whsec_of_the_tests"
HMAC_SECRET = "secret of the tests"

SOURCES_TOML = f"""
[stripe]
provider = "stripe"
secrets = ["{STRIPE_SECRET}"]

[default]
provider = "hmac"
secrets = ["{HMAC_SECRET}"]
"""
"""`POST /webhooks/stripe` and `POST /webhook`."""

RECEIVED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Signed:
    """A request ready to be sent: where to, the exact bytes, and the headers that prove them."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    event_id: str


def stripe_event(
    event_id: str,
    payment: str,
    type_: str = "payment_intent.succeeded",
    *,
    amount: int = 1999,
    currency: str = "eur",
    created: int = 1_767_323_045,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A Stripe event about a payment intent; `fields` are put into its object."""
    intent = {
        "id": payment,
        "object": "payment_intent",
        "amount": amount,
        "amount_received": amount if type_ == "payment_intent.succeeded" else 0,
        "currency": currency,
        "status": type_.removeprefix("payment_intent."),
    }
    return {
        "id": event_id,
        "object": "event",
        "type": type_,
        "created": created,
        "data": {"object": intent | dict(fields or {})},
    }


def thin_stripe_event(event_id: str, payment: str, type_: str = "payment_intent.succeeded") -> dict[str, Any]:
    """A thin event of Stripe: it names a payment intent, and says nothing about its money."""
    return {
        "id": event_id,
        "object": "v2.core.event",
        "type": f"v1.{type_}",
        "created": datetime.now(UTC).isoformat(),
        "livemode": False,
        "related_object": {"id": payment, "type": "payment_intent", "url": f"/v1/payment_intents/{payment}"},
    }


def signed_stripe(
    event: Mapping[str, Any], *, secret: str = STRIPE_SECRET, timestamp: int | None = None, source: str = "stripe"
) -> Signed:
    """The event signed by Stripe's own SDK, at the present time by default."""
    body = json.dumps(event)
    header = WebhookSignature.generate_signature_header(body, secret, timestamp=timestamp or int(time.time()))
    headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
    return Signed(f"/webhooks/{source}", body.encode(), headers, str(event["id"]))


def hmac_event(
    transaction_id: str, status: str = "COMPLETED", *, amount: str = "19.99", currency: str = "EUR", **fields: Any
) -> dict[str, Any]:
    """An event of the `hmac` provider."""
    return {"transaction_id": transaction_id, "status": status, "amount": amount, "currency": currency} | fields


def signed_hmac(event: Mapping[str, Any], *, secret: str = HMAC_SECRET, path: str = "/webhook") -> Signed:
    """The event signed as the provider's definition says."""
    body = json.dumps(event).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    event_id = event.get("event_id") or f"{event['transaction_id']}:{event['status']}"
    return Signed(path, body, {"X-Signature": signature, "Content-Type": "application/json"}, str(event_id))


def contract_event(event_id: str = "evt_1", resource: str = "pi_1", **changes: Any) -> Event:
    """A Stripe event as a stream entry; its body is a payment that succeeded."""
    values: dict[str, Any] = {
        "source": "stripe",
        "namespace": "stripe",
        "provider": "stripe",
        "event_id": event_id,
        "type": "payment_intent.succeeded",
        "resource": resource,
        "occurred_at": RECEIVED_AT,
        "received_at": RECEIVED_AT,
        "signed": "body",
    } | changes
    body = values.pop("body", None)
    if body is None:
        body = json.dumps(stripe_event(event_id, resource, values["type"])).encode()
    return Event(**values, body=body)
