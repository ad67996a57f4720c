"""What the providers of a shop send it: signed deliveries with the kinds of texts that real ones have."""

import json
import random
import time
from typing import Any

from tests.support.cases.adyen import PLACE
from tests.support.events import (
    HMAC_SECRET,
    STRIPE_SECRET,
    Signed,
    hmac_event,
    signed_hmac,
    signed_stripe,
    stripe_event,
)
from tests.support.provider_cases import CASES

OTHERS = ("adyen", "checkout", "mollie")
"""Providers whose cases sign. What Adyen's signature does not cover waits for a person."""

SOURCES_TOML = "\n".join(
    [
        f'[stripe]\nprovider = "stripe"\nsecrets = ["{STRIPE_SECRET}"]',
        f'[default]\nprovider = "hmac"\nsecrets = ["{HMAC_SECRET}"]',
        *(f'[{name}]\nprovider = "{name}"\nsecrets = ["{CASES[name].secrets[0]}"]' for name in OTHERS),
    ]
)

CUSTOMERS = (
    ("Amélie Durand", "amelie.durand@example.com", "4242"),
    ("Jonas Weber", "jonas.weber@example.org", "1881"),
    ("Sofia Rossi", "sofia.rossi@example.net", "0341"),
    ("Oluwaseun Adeyemi", "o.adeyemi@example.com", "9424"),
)

HIT = "window.__hit = 1"
"""What a hostile text would run."""

HOSTILE = f'<img src=x onerror="{HIT}"><script>{HIT}</script>\u202eevil\u2066'
"""Markup, and marks that turn the writing direction: allowed in the ids that providers choose."""


def random_id(prefix: str, source: random.Random) -> str:
    """Return an id that looks like a provider's own."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"
    return prefix + "3S" + "".join(source.choices(letters, k=22))


def paid(
    payment: str, amount: int, currency: str = "eur", *, order: int = 1, event_id: str = "", type_: str = ""
) -> Signed:
    """Return Stripe's event that a payment succeeded, with what it says of the customer."""
    name, mail, last4 = CUSTOMERS[order % len(CUSTOMERS)]
    about = {
        "description": f"Order {order}",
        "receipt_email": mail,
        "shipping": {"name": name, "address": {"city": "Lyon", "country": "FR", "line1": "4 rue de la République"}},
        "payment_method_details": {"card": {"brand": "visa", "last4": last4}},
        "metadata": {"order": str(order)},
    }
    event_id = event_id or payment.replace("pi_", "evt_", 1)
    type_ = type_ or "payment_intent.succeeded"
    event = stripe_event(
        event_id, payment, type_, amount=amount, currency=currency, created=int(time.time()), fields=about
    )
    return signed_stripe(event)


def refunded(payment: str, amount: int, currency: str = "eur") -> Signed:
    """Return Stripe's event about a refund of the payment."""
    refund = payment.replace("pi_", "re_", 1)
    fields = {"object": "refund", "status": "succeeded", "payment_intent": payment}
    event_id = payment.replace("pi_", "evt_r_", 1)
    return signed_stripe(
        stripe_event(
            event_id, refund, "refund.created", amount=amount, currency=currency, created=int(time.time()),
            fields=fields,
        )
    )  # fmt: skip


def transferred(number: int, amount: str, status: str = "COMPLETED") -> Signed:
    """Return an event of the shop's own bank gateway (`POST /webhook`)."""
    return signed_hmac(hmac_event(f"tx_{20260000 + number}", status, amount=amount))


def adyen(psp: str, value: int, order: int) -> Signed:
    """Return an Adyen batch of one capture."""
    item = {
        "additionalData": {"hmacSignature": PLACE},
        "pspReference": f"{psp}C",
        "originalReference": psp,
        "merchantAccountCode": "ShopEU",
        "merchantReference": f"order-{order}",
        "amount": {"currency": "EUR", "value": value},
        "eventCode": "CAPTURE",
        "success": "true",
        "eventDate": _now(),
    }
    return _of_case("adyen", {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]}, psp)


def checkout(payment: str, amount: int) -> Signed:
    """Return Checkout.com's event that a payment was captured."""
    data = {"id": payment, "action_id": payment.replace("pay_", "act_", 1), "amount": amount, "currency": "EUR"}
    event_id = payment.replace("pay_", "evt_", 1)
    return _of_case(
        "checkout", {"id": event_id, "type": "payment_captured", "created_on": _now(), "data": data}, event_id
    )


def mollie(link: str, value: str) -> Signed:
    """Return Mollie's event that a payment link was paid."""
    event_id = link.replace("pl_", "event_", 1)
    entity = {"resource": "payment-link", "id": link, "amount": {"value": value, "currency": "EUR"}}
    event = {"resource": "event", "id": event_id, "type": "payment-link.paid", "entityId": link, "createdAt": _now()}
    return _of_case("mollie", event | {"_embedded": {"entity": entity}}, event_id)


def _of_case(name: str, event: dict[str, Any], event_id: str) -> Signed:
    headers, body = CASES[name].deliver(json.dumps(event)).sent()
    return Signed(
        f"/webhooks/{name}", body, {key.decode(): value.decode("latin-1") for key, value in headers}, event_id
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
