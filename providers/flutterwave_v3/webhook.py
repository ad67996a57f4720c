"""Flutterwave v3: `verif-hash: <the secret hash>`, the configured secret itself, the same for every request.

Source: developer.flutterwave.com/v3.0/docs/webhooks. Nothing is signed: anyone who has seen one request can write any
other. So events are marked `reference`: they are a reason to ask the API for the transaction (`api.py`), not a proof of
it. The event's id is in the body, which is as trustworthy as the rest of it.
"""

from typing import ClassVar

from providers import signing
from providers.base import ParsedEvent, Request
from providers.flutterwave_v3.models import Data, Event
from providers.payload import digest_id, first_id, first_timestamp, read_json
from providers.raw_body import RawBody, Scheme


def payment_of(data: Data) -> str | None:
    """Return the merchant's reference, which all events of a payment have; else another name of what it is about."""
    return first_id(data.tx_ref, data.flw_ref, data.reference, data.id)


class FlutterwaveV3(RawBody):
    """Flutterwave's v3 events, one per request."""

    name: ClassVar[str] = "flutterwave_v3"
    scheme: ClassVar[Scheme] = Scheme(
        header="verif-hash", mac=signing.key_itself, encodings=(bytes,), signed="reference"
    )

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError.

        Its id includes the status: the events of a transaction may differ only in it (pending, then successful).
        """
        event = read_json(Event, request.body)
        data = event.data
        about, status = first_id(data.id), first_id(data.status)
        known = ":".join(part for part in (event.event, about, status) if part)
        event_id = known if about else digest_id(request.body)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.event,
                resource=payment_of(data) or event_id,
                occurred_at=first_timestamp(data.created_at),
            )
        ]
