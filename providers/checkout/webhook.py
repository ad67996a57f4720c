"""Checkout.com: `Cko-Signature: <hex HMAC-SHA256 of the body>`; the key is the workflow's signature key as written.

Source: checkout.com/docs, "Receive webhooks". A static `Authorization` value may be set too; it proves less and is not
read. There is no signed time: the signed event id is what makes a replay a duplicate.

No field says whether an event is about test money, but the event's own address (`_links.self.href`) does, where it is
there: sandbox events are at api.sandbox.checkout.com or a host below it.
"""

import re
from typing import ClassVar

from contract.event import Mode
from providers.account import first_account
from providers.base import ParsedEvent, Request
from providers.checkout.models import Event, Subject
from providers.payload import first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme

_ADDRESS = re.compile(r"https://([^/]*\.)?api\.(sandbox\.)?checkout\.com(/|$)")


class Checkout(RawBody):
    """Checkout.com's events, one a request."""

    name: ClassVar[str] = "checkout"
    scheme: ClassVar[Scheme] = Scheme(header="Cko-Signature")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event."""
        return [parse_event(request.body)]


def parse_event(body: bytes) -> ParsedEvent:
    """Return the event of a delivery's body, or of the API's answer about it. Raise PayloadError."""
    event = read_json(Event, body)
    about = event.data or Subject()
    return ParsedEvent(
        event_id=event.id,
        type=event.type,
        # Captures, voids and refunds have the payment's id as data.id; a dispute has its own id there, and names its
        # payment. So all of them share a resource, and lock and merge together.
        resource=first_id(about.payment_id, about.id) or event.id,
        occurred_at=first_timestamp(event.created_on, event.timestamp),
        mode=_mode(get_path(event.links, "self", "href")),
        account=first_account(about.processing_channel_id),
    )


def _mode(address: object) -> Mode | None:
    """Return the mode of the host at which the event can be fetched, None where there is no such address."""
    found = _ADDRESS.match(address) if isinstance(address, str) else None
    return ("test" if found[2] else "live") if found else None
