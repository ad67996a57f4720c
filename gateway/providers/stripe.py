"""Stripe: `Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>]` over `<t>.<body>`.

The secret is used as it is written, `whsec_` included. `v0` (test signatures) and schemes yet to come are ignored.
While a secret is rolled, Stripe signs with both, hence several v1. Any retry is signed anew, so the tolerance holds.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from gateway.providers import signing
from gateway.providers.base import Draft, Proof, Provider, Request, SignatureError, SourceSettings, TimedSettings
from gateway.providers.payload import Body, read_json, time_from_iso, time_from_unix

HEADER = "Stripe-Signature"


class _Object(Body):
    """What the event is about: any of Stripe's many kinds of object, so that nothing here is certain."""

    id: Any = None
    payment_intent: Any = None
    charge: Any = None


class _Data(Body):
    object: _Object = _Object()


class _Related(Body):
    id: Any = None


class _Event(Body):
    """An event of API v1, or a thin one of v2 that only points to its object and writes its time as ISO 8601."""

    id: str
    type: str
    created: int | str
    data: _Data = _Data()
    related_object: _Related | None = None


class Stripe(Provider):
    """Stripe's events, one a request."""

    name: ClassVar[str] = "stripe"
    Source: ClassVar[type[SourceSettings]] = TimedSettings

    def __init__(self, settings: TimedSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Any v1 signature by any of the secrets, made within the tolerance."""
        timestamp, signatures = _parts(request.headers.get_all(HEADER))
        signed_at_s = signing.unix_s(timestamp)
        number = signing.signing_key(self._keys, timestamp + b"." + request.body, signatures, signing.lower_hex)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[Draft]:
        """The one event."""
        event = read_json(_Event, request.body)
        occurred_at = time_from_iso(event.created) if isinstance(event.created, str) else time_from_unix(event.created)
        return [Draft(event_id=event.id, type=event.type, resource=_resource(event), occurred_at=occurred_at)]


def _parts(values: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The timestamp and the v1 signatures. A repeated header means what one header with a comma between would."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    items = [item.partition(b"=") for item in b",".join(values).split(b",")]
    timestamps = [value for key, _, value in items if key == b"t"]
    signatures = [value for key, _, value in items if key == b"v1"]
    if len(timestamps) != 1 or not signatures:
        raise SignatureError("malformed", f"the {HEADER} header has not one t and at least one v1")
    return timestamps[0], signatures


def _resource(event: _Event) -> str:
    """The payment an event is about.

    Charges, refunds and disputes name their payment intent, so that all events of one payment share a resource, and
    lock and merge together. What belongs to no payment is about itself.
    """
    return next(_candidates(event), event.id)


def _candidates(event: _Event) -> Iterator[str]:
    about, related = event.data.object, event.related_object
    intent = about.payment_intent.get("id") if isinstance(about.payment_intent, dict) else about.payment_intent
    for candidate in (intent, about.charge, about.id, related.id if related else None):
        if isinstance(candidate, str) and candidate:
            yield candidate
