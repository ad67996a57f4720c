"""Adyen's platform, management and transfer webhooks: `HmacSignature: <base64 HMAC-SHA256 of the body>`.

Source: docs.adyen.com, "Verify HMAC signatures" of these webhooks, and Adyen.util of its own library. The key is the
decoded hex text, as for the standard webhooks, which are signed in another way (`adyen`). The header `Protocol:
HmacSHA256` has no effect. Events have no id, so it is a digest of the body; a retry has the same body.
"""

from typing import Any, ClassVar

from providers import signing
from providers.adyen.webhook import HexSettings
from providers.base import ParsedEvent, Request, SourceSettings
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme


class _Event(Model):
    type: str
    timestamp: Any = None
    createdAt: Any = None  # noqa: N815 - Adyen's spelling
    data: Any = None


class AdyenPlatform(RawBody):
    """Adyen's events about transfers, balances, accounts and merchants, one a request."""

    name: ClassVar[str] = "adyen_platform"
    Source: ClassVar[type[SourceSettings]] = HexSettings
    scheme: ClassVar[Scheme] = Scheme(header="HmacSignature", encodings=(signing.padded_base64,))

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._keys = [signing.key_from_hex(secret.reveal()) for secret in settings.secrets]

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        event_id = digest_id(request.body)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.type,
                resource=_resource(event.data) or event_id,
                occurred_at=first_timestamp(event.timestamp, event.createdAt, get_path(event.data, "creationDate")),
            )
        ]


def _resource(data: object) -> str | None:
    """Return the id of the transfer, else of the event's own object, else of the merchant or company.

    The transaction that books a transfer names it, so their events are processed together.
    """
    return first_id(
        get_path(data, "transfer", "id"),
        get_path(data, "transferId"),
        get_path(data, "id"),
        get_path(data, "merchantId"),
        get_path(data, "companyId"),
    )
