"""Paystack: `x-paystack-signature: <hex HMAC-SHA512 of the body>`, keyed with the API's secret key.

Source: paystack.com/docs/payments/webhooks. Test and live mode have different keys, and are better two sources than two
secrets of one. The example in Node hashes a body that was written anew; what is signed is the body as it was sent.

There is no event id. What an event tells is told once of each transaction, dispute or transfer, so its name and that
one's id stand for it; where there is no id (refunds, subscriptions) the body does. Both are signed.
"""

from typing import Any, ClassVar

from pydantic import Field

from providers import signing
from providers.base import ParsedEvent, Request
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme


class _Data(Model):
    """A transaction, or a dispute, refund, transfer … as Paystack writes each."""

    id: Any = None
    reference: Any = None
    transaction: Any = None
    transaction_reference: Any = None
    paid_at: Any = None
    created_at: Any = None
    created_at_too: Any = Field(default=None, alias="createdAt")


class _Event(Model):
    event: str
    data: _Data


class Paystack(RawBody):
    """Paystack's events, one a request."""

    name: ClassVar[str] = "paystack"
    scheme: ClassVar[Scheme] = Scheme(header="x-paystack-signature", mac=signing.hmac_sha512)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        event = read_json(_Event, request.body)
        data = event.data
        about = first_id(data.id)
        event_id = f"{event.event}:{about}" if about else digest_id(request.body)
        # Disputes and refunds name their transaction, whose reference is what its own events have: all of one payment
        # lock and merge together.
        payment = first_id(data.transaction_reference, get_path(data.transaction, "reference"), data.reference)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.event,
                resource=payment or about or event_id,
                occurred_at=first_timestamp(data.paid_at, data.created_at, data.created_at_too),
            )
        ]
