"""Flutterwave v3: `verif-hash: <the secret hash>`, the configured secret itself, the same for every request.

Source: developer.flutterwave.com/v3.0/docs/webhooks. Nothing is signed: anyone who has seen one request can write any
other. So events are marked `reference`: they are a reason to ask the API for the transaction, not a proof of it. The
event's id is in the body, which is as trustworthy as the rest of it.
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
    tx_ref: Any = None
    flw_ref: Any = None
    reference: Any = None
    status: Any = None
    created_at: Any = None


class _Event(Model):
    event: str
    data: OrEmpty[_Data] = _Data()


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
        event = read_json(_Event, request.body)
        data = event.data
        about, status = first_id(data.id), first_id(data.status)
        known = ":".join(part for part in (event.event, about, status) if part)
        event_id = known if about else digest_id(request.body)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.event,
                # All events of a payment have the merchant's reference.
                resource=first_id(data.tx_ref, data.flw_ref, data.reference) or about or event_id,
                occurred_at=first_timestamp(data.created_at),
            )
        ]
