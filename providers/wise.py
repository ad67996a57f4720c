"""Wise: `X-Signature-SHA256: <base64 RSA-SHA256 of the body>`, by Wise's own key, one for production, one for sandbox.

Source: docs.wise.com, "Event handling", and Wise's digital-signatures-examples. The key is published there and is a
setting. Never list the sandbox's key with the production one: in the sandbox Wise signs for anyone.

* One key signs for all customers of Wise, and the address is not signed: events that another customer subscribes to
  with your URL, or forwards to you, are accepted. With `profile_ids`, events of other profiles are refused.
* `X-Delivery-Id` is not signed, so the event's id is a digest of its type and `data`. `sent_at` and the subscription
  are left out, so that a retry, and the delivery to a second subscription, are the same event.
"""

import json
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from providers.base import ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.models import Model
from providers.off_loop import OffLoop
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text, read_json
from providers.public_keys import OneOrMore, PublicSettings, require_one, rsa_key, rsa_sha256_key, with_secrets

HEADER = "X-Signature-SHA256"
KEPT = ("X-Delivery-Id", "X-Test-Notification")
"""Headers kept with the event for its readers; neither is signed."""


class WiseSettings(PublicSettings):
    """Wise's table in sources.toml."""

    public_key: OneOrMore = Field(default=(), validate_default=True)
    profile_ids: tuple[int, ...] = ()

    @field_validator("public_key")
    @classmethod
    def _are_keys(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in with_secrets(require_one(given, info), info.data.get("secrets", ())):
            rsa_key(text)
        return given


class _Event(Model):
    event_type: str
    data: dict[str, Any]
    sent_at: Any = None


class Wise(Provider):
    """Wise's events, one per request."""

    name: ClassVar[str] = "wise"
    Source: ClassVar[type[SourceSettings]] = WiseSettings

    def __init__(self, settings: WiseSettings) -> None:
        super().__init__(settings)
        self._keys = [rsa_key(text) for text in with_secrets(settings.public_key, settings.secrets)]
        self._profile_ids = settings.profile_ids
        self._off_loop = OffLoop(settings.source)

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the header, by any of the keys, for one of the profiles if they are set.

        Raise SignatureError.
        """
        signatures = request.headers.get_all(HEADER)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {HEADER} header")
        number = await rsa_sha256_key(self._keys, [request.body], signatures, self._off_loop)
        if self._profile_ids and _profile(request) not in self._profile_ids:
            raise SignatureError("mismatch", "Wise signed it, but for a profile that is not among profile_ids")
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        kept = {name.lower(): header_text(request, name) for name in KEPT}
        event_id = _digest(event)
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.event_type,
                # Failures of payouts and cases name their transfer, so that all its events are processed together.
                resource=first_id(event.data.get("transfer_id"), get_path(event.data, "resource", "id")) or event_id,
                occurred_at=first_timestamp(event.data.get("occurred_at"), event.sent_at),
                headers={name: value for name, value in kept.items() if value},
            )
        ]


def _digest(event: _Event) -> str:
    return digest_id(json.dumps([event.event_type, event.data], sort_keys=True).encode())


def _profile(request: Request) -> object:
    try:
        return get_path(read_json(_Event, request.body).data, "resource", "profile_id")
    except PayloadError:
        return None
