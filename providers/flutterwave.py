"""Flutterwave v4: `flutterwave-signature: <base64 HMAC-SHA256 of the body>`, keyed with the secret hash.

Source: developer.flutterwave.com/docs/webhooks for the header, other receivers for the digest: an older copy of that
page compares the header with the secret hash itself. That form is not accepted, because it does not cover the body.

`webhook_id` looks like the id of the delivery, but no page says so. If it were the endpoint's, events with the same id
would be lost. So the event's id also has the charge and its status. All of them are signed.
"""

from typing import Any, ClassVar

from providers import signing
from providers.base import ParsedEvent, Request
from providers.complete import OrEmpty
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, read_json
from providers.raw_body import RawBody, Scheme


class _Data(Model):
    id: Any = None
    charge_id: Any = None
    status: Any = None
    created_datetime: Any = None


class _Event(Model):
    webhook_id: Any = None
    type: str
    timestamp: Any = None
    data: OrEmpty[_Data] = _Data()


class Flutterwave(RawBody):
    """Flutterwave's v4 events, one per request."""

    name: ClassVar[str] = "flutterwave"
    scheme: ClassVar[Scheme] = Scheme(header="flutterwave-signature", encodings=(signing.padded_base64,))

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        delivery, about = first_id(event.webhook_id), first_id(event.data.id)
        status = first_id(event.data.status)
        known = ":".join(part for part in (delivery, event.type, about, status) if part)
        event_id = known if about else digest_id(request.body)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.type,
                # A refund or chargeback names its charge, so that their events are processed together.
                resource=first_id(event.data.charge_id, event.data.id) or event_id,
                occurred_at=first_timestamp(event.timestamp, event.data.created_datetime),
            )
        ]
