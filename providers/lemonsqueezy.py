"""Lemon Squeezy: `X-Signature: <hex HMAC-SHA256 of the body>`.

Source: docs.lemonsqueezy.com, "Signing requests". It tries only four times within three minutes: what a longer outage
lost must be fetched from the API. `X-Event-Name` is not signed and not read; the body has the name too. Events have no
id, so it is a digest of the body; a retry has the same body.
"""

from typing import Any, ClassVar

from providers.base import ParsedEvent, Request
from providers.complete import OrEmpty
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme


class _Meta(Model):
    event_name: str


class _Data(Model):
    type: Any = None
    id: Any = None
    attributes: Any = None


class _Event(Model):
    meta: _Meta
    data: OrEmpty[_Data] = _Data()


class LemonSqueezy(RawBody):
    """Lemon Squeezy's events, one per request."""

    name: ClassVar[str] = "lemonsqueezy"
    scheme: ClassVar[Scheme] = Scheme(header="X-Signature")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        event_id = digest_id(request.body)
        kind, number = first_id(event.data.type), first_id(event.data.id)
        updated_at, created_at = (get_path(event.data.attributes, name) for name in ("updated_at", "created_at"))
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.meta.event_name,
                # An id is unique only within its type. Payment and refund are both about the order, or about the
                # invoice of a subscription.
                resource=f"{kind}:{number}" if kind and number else event_id,
                occurred_at=first_timestamp(updated_at, created_at),
            )
        ]
