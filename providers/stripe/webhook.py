"""Stripe: `Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>]` over `<t>.<body>`.

* The whole secret is the key, `whsec_` included. `v0` (test signatures) and unknown schemes are ignored.
* While a secret is being rolled, Stripe signs with both, so there are several v1.
* Spaces after the commas are accepted, as by Stripe's library for Ruby; its other libraries refuse them.
* Every retry is signed anew, so the tolerance holds for retries too.
* A live endpoint for connected accounts gets test events too, which only `livemode` sets apart from live ones
  (https://docs.stripe.com/connect/webhooks).
"""

from typing import ClassVar

from providers import signing
from providers.account import first_account, mode_of_flag
from providers.base import (
    BODY_BYTES_LARGE,
    ParsedEvent,
    Proof,
    Provider,
    Request,
    SignatureError,
    SourceSettings,
    TimedSettings,
)
from providers.payload import read_json, time_from_iso, time_from_unix
from providers.stripe.models import AnyData, AnyEvent, AnyObject

HEADER = "Stripe-Signature"

_NO_OBJECT = AnyObject()


class Stripe(Provider):
    """Stripe's events, one per request."""

    name: ClassVar[str] = "stripe"
    body_bytes_max: ClassVar[int] = BODY_BYTES_LARGE
    Source: ClassVar[type[SourceSettings]] = TimedSettings

    def __init__(self, settings: TimedSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Accept any v1 signature made with any of the secrets within the tolerance. Raise SignatureError."""
        timestamp, signatures = _read_header(request.headers.get_all(HEADER))
        signed_at_s = signing.unix_s(timestamp)
        number = signing.signing_key(self._keys, timestamp + b"." + request.body, signatures, signing.lower_hex)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(AnyEvent, request.body)
        created = event.created
        occurred_at = time_from_iso(created) if isinstance(created, str) else time_from_unix(created)
        mode, account = mode_of_flag(event.livemode), first_account(event.account, event.context)
        return [ParsedEvent(event.id, event.type, _resource(event), occurred_at, mode=mode, account=account)]


def _read_header(values: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the timestamp and the v1 signatures. Repeated headers are read as one, joined by commas."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    timestamps, signatures = [], []
    for item in signing.header_items(values, b","):
        key, _, value = item.partition(b"=")
        if key == b"v1":
            signatures.append(value)
        elif key == b"t":
            timestamps.append(value)
    if len(timestamps) != 1 or not signatures:
        raise SignatureError("malformed", f"the {HEADER} header has not exactly one t and at least one v1")
    return timestamps[0], signatures


def _resource(event: AnyEvent) -> str:
    """Return the id of the payment: the payment intent, else the charge, else what the event is about.

    Charges, refunds and disputes name their payment intent, so all events of a payment are processed together. An old
    refund or dispute may name only its charge; where that is expanded, it names the payment intent.
    """
    data, related = event.data, event.related_object
    about = data.object if isinstance(data, AnyData) else None
    if not isinstance(about, AnyObject):
        about = _NO_OBJECT
    related_id = None if related is None or isinstance(related, list) else related.id
    charge = about.charge
    expanded = charge.get("payment_intent") if isinstance(charge, dict) else None
    for reference in (about.payment_intent, expanded, charge, about.id, related_id):
        id_ = reference.get("id") if isinstance(reference, dict) else reference
        if id_ and isinstance(id_, str):
            return id_
    return event.id
