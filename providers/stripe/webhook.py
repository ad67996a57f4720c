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
from providers.stripe.identity import parse_event
from providers.stripe.settings import StripeSettings

HEADER = "Stripe-Signature"


class Stripe(Provider):
    """Stripe's events, one per request."""

    name: ClassVar[str] = "stripe"
    body_bytes_max: ClassVar[int] = BODY_BYTES_LARGE
    Source: ClassVar[type[SourceSettings]] = StripeSettings

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
        return [parse_event(request.body)]


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
