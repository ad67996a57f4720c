"""Razorpay: `X-Razorpay-Signature: <hex HMAC-SHA256 of the body>`, keyed with the webhook's secret, not the API's.

Source: razorpay.com/docs/webhooks/validate-test. Events that are still being retried when the secret is changed go on
being signed with the old one: keep both for a day. The event's id is only in `x-razorpay-event-id`, which is not
signed, so ours is made of the body: a captured delivery is not applied again under a new id, and a retry has the same
body.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from providers.base import ParsedEvent, Request
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text, read_json
from providers.raw_body import RawBody, Scheme

EVENT_ID = "x-razorpay-event-id"


class _Event(Model):
    """`contains` names the members of `payload`, such as refund and payment; each has an `entity`."""

    event: str
    contains: tuple[str, ...] = ()
    payload: Any = None
    created_at: Any = None


class Razorpay(RawBody):
    """Razorpay's events, one a request."""

    name: ClassVar[str] = "razorpay"
    scheme: ClassVar[Scheme] = Scheme(header="X-Razorpay-Signature")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        event = read_json(_Event, request.body)
        event_id = digest_id(request.body)
        given_id = header_text(request, EVENT_ID)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.event,
                resource=first_id(*_candidates(event)) or event_id,
                occurred_at=first_timestamp(event.created_at),
                headers={EVENT_ID: given_id} if given_id else {},
            )
        ]


def _candidates(event: _Event) -> Iterator[object]:
    """The payment, which refunds, disputes, orders and invoices bring along or name; else what the event is about.

    So all events of one payment share a resource, and lock and merge together.
    """
    yield get_path(event.payload, "payment", "entity", "id")
    for name in event.contains:
        yield get_path(event.payload, name, "entity", "payment_id")
    for name in event.contains:
        yield get_path(event.payload, name, "entity", "id")
