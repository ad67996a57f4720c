"""Mollie's next-generation webhooks: `X-Mollie-Signature: sha256=<hex HMAC-SHA256 of the body>`.

Source: docs.mollie.com/reference/webhooks-new and the validator of mollie-api-php. For 24 hours after a rotation the
header is sent twice; a proxy may have joined the two with a comma, which Mollie's own validator does not expect.

The classic webhooks (a form `id=tr_…`) are not signed at all. They are refused, where Mollie's validator calls them
"legacy": who needs them fetches the payment from the API instead.
"""

from typing import Any, ClassVar

from pydantic import Field

from providers.base import ParsedEvent, Proof, Request
from providers.models import Model
from providers.payload import first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme


class _Event(Model):
    """`_embedded` holds the entity itself, unless the webhook is set up to send simple payloads."""

    id: str
    type: str
    entity_id: Any = Field(default=None, alias="entityId")
    created_at: Any = Field(default=None, alias="createdAt")
    embedded: Any = Field(default=None, alias="_embedded")


class Mollie(RawBody):
    """Mollie's events, one a request."""

    name: ClassVar[str] = "mollie"
    scheme: ClassVar[Scheme] = Scheme(header="X-Mollie-Signature", prefix=b"sha256=")

    async def authenticate(self, request: Request) -> Proof:
        """Any signature in any of the header's values."""
        values = b",".join(request.headers.get_all(self.scheme.header)).split(b",")
        return self.scheme.prove(self._keys, request.body, [value.strip(b" ") for value in values])

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event."""
        event = read_json(_Event, request.body)
        # What belongs to a payment names it, and locks and merges with it; a payment link is about itself.
        payment = get_path(event.embedded, "entity", "paymentId")
        return [
            ParsedEvent(
                event_id=event.id,
                type=event.type,
                resource=first_id(payment, event.entity_id) or event.id,
                occurred_at=first_timestamp(event.created_at),
            )
        ]
