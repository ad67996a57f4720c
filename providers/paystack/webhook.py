"""Paystack: `x-paystack-signature: <hex HMAC-SHA512 of the body>`, keyed with the API's secret key.

Source: paystack.com/docs/payments/webhooks. Test and live mode have different keys; make them two sources, rather than
two secrets of one. The example in Node hashes a re-serialised body, but the body is signed as it was sent.

Events have no id. Each type of event is sent once per transaction, dispute or transfer, so the type and that object's
id make the id. Where the object has no id (refunds, subscriptions), it is a digest of the body. Both are signed.
"""

from typing import ClassVar

from providers import signing
from providers.base import ParsedEvent, Request
from providers.payload import digest_id, first_id, first_timestamp, get_path, read_json
from providers.paystack.models import AnyData, AnyEvent
from providers.raw_body import RawBody, Scheme


class Paystack(RawBody):
    """Paystack's events, one per request."""

    name: ClassVar[str] = "paystack"
    scheme: ClassVar[Scheme] = Scheme(header="x-paystack-signature", mac=signing.hmac_sha512)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(AnyEvent, request.body)
        data = event.data if isinstance(event.data, AnyData) else AnyData()
        about = first_id(data.id)
        event_id = f"{event.event}:{about}" if about else digest_id(request.body)
        return [describe(data, event_id, event.event, about or event_id)]


def describe(data: AnyData, event_id: str, type_: str, resource: str) -> ParsedEvent:
    """Return what an event about this object is. `resource`: where the object names no transaction.

    Disputes and refunds name the reference of their transaction, which the transaction's own events have too, so that
    all events of a payment are processed together.
    """
    payment = first_id(data.transaction_reference, get_path(data.transaction, "reference"), data.reference)
    return ParsedEvent(
        event_id=event_id,
        type=type_,
        resource=payment or resource,
        occurred_at=first_timestamp(data.paid_at, data.created_at, data.created_at_too),
        mode=data.domain,
    )
