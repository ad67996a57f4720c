"""Checkout.com: `Cko-Signature: <hex HMAC-SHA256 of the body>`; the key is the workflow's signature key as written.

Source: checkout.com/docs, "Receive webhooks". A static `Authorization` value may be set too; it proves less and is not
read. There is no signed time: the signed event id is what makes a replay a duplicate.
"""

from typing import ClassVar

from providers.base import ParsedEvent, Request
from providers.checkout.models import Event, Subject
from providers.payload import first_id, first_timestamp, read_json
from providers.raw_body import RawBody, Scheme


class Checkout(RawBody):
    """Checkout.com's events, one a request."""

    name: ClassVar[str] = "checkout"
    scheme: ClassVar[Scheme] = Scheme(header="Cko-Signature")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event."""
        event = read_json(Event, request.body)
        about = event.data or Subject()
        return [
            ParsedEvent(
                event_id=event.id,
                type=event.type,
                # Captures, voids and refunds have the payment's id as data.id; a dispute has its own id there, and
                # names its payment. So all of them share a resource, and lock and merge together.
                resource=first_id(about.payment_id, about.id) or event.id,
                occurred_at=first_timestamp(event.created_on, event.timestamp),
            )
        ]
