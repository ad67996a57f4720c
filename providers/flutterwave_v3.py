"""Flutterwave v3: `verif-hash: <the secret hash>`, the configured secret itself, the same for every request.

Source: developer.flutterwave.com/v3.0/docs/webhooks. Nothing is signed: whoever has seen one request can write any
other. So its events are marked `reference`: they are a reason to ask the API for the transaction, not a proof of it.
What identifies an event is in the body, which is as trustworthy as all the rest of it.
"""

from typing import Any, ClassVar

from providers import signing
from providers.base import Draft, Request
from providers.payload import Body, digest_id, read_json, some_name, some_time
from providers.raw_body import RawBody, Scheme


class _Data(Body):
    id: Any = None
    tx_ref: Any = None
    flw_ref: Any = None
    reference: Any = None
    status: Any = None
    created_at: Any = None


class _Event(Body):
    event: str
    data: _Data


class FlutterwaveV3(RawBody):
    """Flutterwave's v3 events, one a request."""

    name: ClassVar[str] = "flutterwave_v3"
    scheme: ClassVar[Scheme] = Scheme(
        header="verif-hash", mac=signing.key_itself, encodings=(bytes,), signed="reference"
    )

    def parse(self, request: Request) -> list[Draft]:
        """The one event. One transaction's may differ in nothing but the status: pending, then successful."""
        event = read_json(_Event, request.body)
        data = event.data
        about, status = some_name(data.id), some_name(data.status)
        known = ":".join(part for part in (event.event, about, status) if part)
        event_id = known if about else digest_id(request.body)
        return [
            Draft(
                event_id=event_id,
                type=event.event,
                # The merchant's own reference is what all events of one payment have in common.
                resource=some_name(data.tx_ref, data.flw_ref, data.reference) or about or event_id,
                occurred_at=some_time(data.created_at),
            )
        ]
