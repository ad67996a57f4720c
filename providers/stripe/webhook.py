"""Stripe: `Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>]` over `<t>.<body>`.

The secret is used as it is written, `whsec_` included. `v0` (test signatures) and schemes yet to come are ignored.
While a secret is rolled, Stripe signs with both, hence several v1. Any retry is signed anew, so the tolerance holds.
"""

from typing import Any, ClassVar, NotRequired

from typing_extensions import TypedDict

from providers import signing
from providers.base import ParsedEvent, Proof, Provider, Request, SignatureError, SourceSettings, TimedSettings
from providers.payload import Reader, body_part, time_from_iso, time_from_unix

HEADER = "Stripe-Signature"


@body_part
class _Object(TypedDict, total=False):
    """What the event is about: any of Stripe's many kinds of object, so that nothing here is certain."""

    id: Any
    payment_intent: Any
    charge: Any


@body_part
class _Data(TypedDict, total=False):
    object: _Object


@body_part
class _Related(TypedDict, total=False):
    id: Any


@body_part
class _Event(TypedDict):
    """An event of API v1, or a thin one of v2 that only points to its object and writes its time as ISO 8601."""

    id: str
    type: str
    created: int | str
    data: NotRequired[_Data]
    related_object: NotRequired[_Related | None]


_read = Reader(_Event)


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

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        event = _read(request.body)
        created = event["created"]
        occurred_at = time_from_iso(created) if isinstance(created, str) else time_from_unix(created)
        return [ParsedEvent(event["id"], event["type"], _resource(event), occurred_at)]


def _parts(values: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The timestamp and the v1 signatures. A repeated header means what one header with a comma between would."""
    if not any(values):
        raise SignatureError("missing", f"there is no {HEADER} header")
    timestamps, signatures = [], []
    for item in b",".join(values).split(b","):
        key, _, value = item.partition(b"=")
        if key == b"v1":
            signatures.append(value)
        elif key == b"t":
            timestamps.append(value)
    if len(timestamps) != 1 or not signatures:
        raise SignatureError("malformed", f"the {HEADER} header has not one t and at least one v1")
    return timestamps[0], signatures


def _resource(event: _Event) -> str:
    """The payment an event is about.

    Charges, refunds and disputes name their payment intent, so that all events of one payment share a resource, and
    lock and merge together. What belongs to no payment is about itself.
    """
    about = event.get("data", {}).get("object", {})
    charge = about.get("charge")
    related = event.get("related_object") or {}
    # A refund or a dispute of old may name its charge alone. What is named may also be there as its whole object
    # ("expanded"), and such a charge names the payment intent, where it has one.
    expanded = charge.get("payment_intent") if isinstance(charge, dict) else None
    for named in (about.get("payment_intent"), expanded, charge, about, related):
        name = named.get("id") if isinstance(named, dict) else named
        if name and isinstance(name, str):
            return name
    return event["id"]
