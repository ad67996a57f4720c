"""GoCardless: `Webhook-Signature: <hex HMAC-SHA256 of the body>`, and a batch of unrelated events in one request.

Source: developer.gocardless.com/api-reference, "Webhooks", and the webhooks module of gocardless-pro. A signature that
does not verify is to be answered 498. The batch is verified whole, then each event is published with its own id,
resource and part of the body. `meta.webhook_id` names the delivery only and is not needed.
"""

from typing import Any, ClassVar

from providers.base import Draft, Request
from providers.payload import Body, array_items, inside, read_json, some_name, some_time
from providers.raw_body import RawBody, Scheme


class _Event(Body):
    id: str
    resource_type: str
    action: str
    created_at: Any = None
    links: Any = None


class GoCardless(RawBody):
    """GoCardless' events, up to 250 a request."""

    name: ClassVar[str] = "gocardless"
    scheme: ClassVar[Scheme] = Scheme(header="Webhook-Signature")
    unauthorized_status: ClassVar[int] = 498

    def parse(self, request: Request) -> list[Draft]:
        """Every event of the batch, or none."""
        return [_draft(item) for item in array_items(request.body, "events")]


def _draft(item: bytes) -> Draft:
    event = read_json(_Event, item)
    # Whatever names a payment is about it, and locks and merges with it. A refund's event names only the refund.
    about = inside(event.links, event.resource_type.removesuffix("s"))
    return Draft(
        event_id=event.id,
        type=f"{event.resource_type}.{event.action}",
        resource=some_name(inside(event.links, "payment"), about) or event.id,
        occurred_at=some_time(event.created_at),
        body=item,
    )
