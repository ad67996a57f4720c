"""Razorpay: `X-Razorpay-Signature: <hex HMAC-SHA256 of the body>`, keyed with the webhook's secret, not the API's.

Source: razorpay.com/docs/webhooks/validate-test. When the secret is changed, events that are still being retried remain
signed with the old one: keep both for a day. The event's id is only in `x-razorpay-event-id`, which is not signed. So
the id is a digest of the body: a captured request is not applied again under a new id, and a retry has the same body.
"""

from collections.abc import Iterator
from typing import ClassVar

from providers.account import first_account
from providers.base import ParsedEvent, Request
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text, read_json
from providers.raw_body import RawBody, Scheme
from providers.razorpay.models import AnyEvent

EVENT_ID = "x-razorpay-event-id"


class Razorpay(RawBody):
    """Razorpay's events, one per request."""

    name: ClassVar[str] = "razorpay"
    scheme: ClassVar[Scheme] = Scheme(header="X-Razorpay-Signature")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(AnyEvent, request.body)
        event_id = digest_id(request.body)
        given_id = header_text(request, EVENT_ID)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.event,
                resource=first_id(*_resources(event)) or event_id,
                occurred_at=first_timestamp(event.created_at),
                headers={EVENT_ID: given_id} if given_id else {},
                account=first_account(event.account_id),
            )
        ]


def _resources(event: AnyEvent) -> Iterator[object]:
    """Yield the id of the payment, or else of what the event is about.

    Refunds, disputes, orders and invoices come with their payment or name it, so all events of a payment are processed
    together.
    """
    yield get_path(event.payload, "payment", "entity", "id")
    members = event.contains or ()
    for name in members:
        yield get_path(event.payload, name, "entity", "payment_id")
    for name in members:
        yield get_path(event.payload, name, "entity", "id")
