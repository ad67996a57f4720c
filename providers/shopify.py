"""Shopify: `X-Shopify-Hmac-SHA256: <base64 HMAC-SHA256 of the body>`, keyed with the app's client secret.

Source: shopify.dev, "Verify webhook deliveries". Newer events name their headers without the `X-`. After a rotation it
may take an hour until the new secret is used. Test notifications of the admin's Notifications page are signed with
another secret. The topic and the ids are in headers, which are not signed:

* The event's id is made of the topic and a digest of the body. A captured delivery is not applied again under a new
  `X-Shopify-Webhook-Id`. A retry has the same body, and so have the deliveries of two subscriptions to a topic.
* The id has the topic, because one change of an order is sent under several topics with the same body. So a captured
  delivery can be replayed once under each other topic: of `types`, the topics you subscribe to, or of those that
  Shopify documents. Any other topic is `unknown`. Read the state from the body, which is signed.
"""

from typing import Any, ClassVar

from providers import signing
from providers.base import BODY_BYTES_LARGE, ParsedEvent, Proof, Request, SourceSettings
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text, read_json
from providers.raw_body import RawBody, Scheme
from providers.shopify_topics import TOPICS
from providers.unsigned_types import TYPE_UNKNOWN, TypesSettings, listed_type

NEWER = "Shopify-Hmac-Sha256"
KEPT = ("Webhook-Id", "Event-Id", "Shop-Domain", "API-Version")
"""Headers kept with the event for its readers; none of them is signed."""

TOPIC = ("X-Shopify-Topic", "Shopify-Topic")


class _Event(Model):
    """An order, or an object that belongs to one."""

    id: Any = None
    order_id: Any = None
    admin_graphql_api_id: Any = None
    order_edit: Any = None
    updated_at: Any = None
    created_at: Any = None


class Shopify(RawBody):
    """Shopify's events, one per request."""

    name: ClassVar[str] = "shopify"
    body_bytes_max: ClassVar[int] = BODY_BYTES_LARGE
    Source: ClassVar[type[SourceSettings]] = TypesSettings
    scheme: ClassVar[Scheme] = Scheme(header="X-Shopify-Hmac-SHA256", encodings=(signing.padded_base64,))

    def __init__(self, settings: TypesSettings) -> None:
        super().__init__(settings)
        self._topics = TOPICS if settings.types is None else frozenset(settings.types)

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the header, under its older or newer name. Raise SignatureError."""
        values = request.headers.get_all(self.scheme.header) + request.headers.get_all(NEWER)
        return self.scheme.prove(self._keys, request.body, values)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        topic = listed_type(request, TOPIC, self._topics)
        event_id = f"{topic}:{digest_id(request.body)}"
        order = first_id(event.order_id, get_path(event.order_edit, "order_id"))
        names = (*KEPT, "Topic") if topic == TYPE_UNKNOWN else KEPT
        kept = {f"x-shopify-{name.lower()}": _header(request, name) for name in names}
        return [
            ParsedEvent(
                event_id=event_id,
                type=topic,
                # The order is the payment. Its refunds, transactions, fulfillments and disputes name it.
                resource=order or first_id(event.id, event.admin_graphql_api_id) or event_id,
                # The times in the body are signed; the one in the header is not.
                occurred_at=first_timestamp(event.updated_at, event.created_at, _header(request, "Triggered-At")),
                headers={name: value for name, value in kept.items() if value},
            )
        ]


def _header(request: Request, name: str) -> str | None:
    return header_text(request, f"X-Shopify-{name}") or header_text(request, f"Shopify-{name}")
