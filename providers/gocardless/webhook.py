"""GoCardless: `Webhook-Signature: <hex HMAC-SHA256 of the body>`, and a batch of unrelated events in one request.

Source: developer.gocardless.com/api-reference, "Webhooks", and the webhooks module of gocardless-pro. GoCardless wants
498 for a wrong signature. The batch is verified as a whole; each event is published with its own id, resource and part
of the body. `meta.webhook_id` names only the delivery and is not read.
"""

from typing import ClassVar

from providers.base import ParsedEvent, Request
from providers.gocardless.models import Event
from providers.payload import array_items, first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme


class GoCardless(RawBody):
    """GoCardless' events, up to 250 per request."""

    name: ClassVar[str] = "gocardless"
    scheme: ClassVar[Scheme] = Scheme(header="Webhook-Signature")
    unauthorized_status: ClassVar[int] = 498

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return all events of the batch. Raise PayloadError if any of them is unreadable."""
        return [parse_event(item) for item in array_items(request.body, "events")]


def parse_event(item: bytes) -> ParsedEvent:
    """Return an event of a batch, or of the list of events. Raise PayloadError.

    An event that names a payment is about it, so that all its events are processed together. A refund's event names
    only the refund.
    """
    event = read_json(Event, item)
    return ParsedEvent(
        event_id=event.id,
        type=f"{event.resource_type}.{event.action}",
        resource=first_id(get_path(event.links, "payment"), event.about) or event.id,
        occurred_at=first_timestamp(event.created_at),
        body=item,
    )
