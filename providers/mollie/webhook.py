"""Mollie's next-generation webhooks: `X-Mollie-Signature: sha256=<hex HMAC-SHA256 of the body>`.

Source: docs.mollie.com/reference/webhooks-new and the validator of mollie-api-php. For 24 hours after a rotation the
header is sent twice; a proxy may have joined the two with a comma, which Mollie's own validator does not expect.

The classic webhooks (a form `id=tr_…`), which Mollie's validator calls "legacy", are not signed at all and are refused
here: `mollie_classic` accepts them, and asks the API.
"""

from collections.abc import Mapping
from typing import ClassVar

from contract.event import Mode
from providers import signing
from providers.account import first_account
from providers.base import ParsedEvent, Proof, Request
from providers.mollie.models import Event, Subject
from providers.payload import first_id, first_timestamp, read_json
from providers.raw_body import RawBody, Scheme

MODES: Mapping[str, Mode] = {"live": "live", "test": "test"}
"""The values of an entity's `mode`. A chargeback has none, and gets its payment's from the worker."""


class Mollie(RawBody):
    """Mollie's events, one a request."""

    name: ClassVar[str] = "mollie"
    scheme: ClassVar[Scheme] = Scheme(header="X-Mollie-Signature", prefix=b"sha256=")

    async def authenticate(self, request: Request) -> Proof:
        """Accept any signature in any of the header's values."""
        values = request.headers.get_all(self.scheme.header)
        return self.scheme.prove(self._keys, request.body, signing.header_items(values, b","))

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event."""
        event = read_json(Event, request.body)
        # What belongs to a payment shares its resource, and locks and merges with it; a payment link is about itself.
        entity = (event.embedded and event.embedded.entity) or Subject()
        return [
            ParsedEvent(
                event_id=event.id,
                type=event.type,
                resource=first_id(entity.payment_id, event.entity_id) or event.id,
                occurred_at=first_timestamp(event.created_at),
                mode=MODES.get(entity.mode or ""),
                account=first_account(entity.profile_id),
            )
        ]
