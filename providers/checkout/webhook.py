"""Checkout.com: `Cko-Signature: <hex HMAC-SHA256 of the body>`; the key is the workflow's signature key as written.

Source: checkout.com/docs, "Receive webhooks". A static `Authorization` value may be set besides; it proves less and is
not looked at. There is no signed time: the signed event id is what makes a replay a duplicate.
"""

from typing import Any, ClassVar

from providers.base import Draft, Request
from providers.payload import Body, read_json, some_name, some_time
from providers.raw_body import RawBody, Scheme


class _Data(Body):
    id: Any = None
    payment_id: Any = None


class _Event(Body):
    """`created_on` or `timestamp`: which one depends on the event."""

    id: str
    type: str
    created_on: Any = None
    timestamp: Any = None
    data: _Data = _Data()


class Checkout(RawBody):
    """Checkout.com's events, one a request."""

    name: ClassVar[str] = "checkout"
    scheme: ClassVar[Scheme] = Scheme(header="Cko-Signature")

    def parse(self, request: Request) -> list[Draft]:
        """The one event."""
        event = read_json(_Event, request.body)
        return [
            Draft(
                event_id=event.id,
                type=event.type,
                # Captures, voids and refunds have the payment's id as data.id; a dispute has its own, and the payment's
                # beside it. All of them lock and merge with their payment.
                resource=some_name(event.data.payment_id, event.data.id) or event.id,
                occurred_at=some_time(event.created_on, event.timestamp),
            )
        ]
