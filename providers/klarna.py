"""Klarna's payment webhooks: `Klarna-Signature: <hex HMAC-SHA256 of the body>`, `Klarna-Signing-Key-Id: <key id>`.

Source: docs.klarna.com, notifications API, for the headers; the digest as Klarna's plugin for WooCommerce computes it.
Klarna names the key it signed with. `key_ids` has the id of each secret, in the same order. Only the named key is
tried, so that a key whose id was removed from sources.toml is no longer accepted. The old checkout pushes are not
signed.
"""

from typing import Any, ClassVar

from pydantic import ValidationInfo, field_validator

from providers.base import ParsedEvent, Proof, Request, SignatureError, SourceSettings
from providers.models import Model
from providers.payload import first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme

KEY_ID = "Klarna-Signing-Key-Id"


class KlarnaSettings(SourceSettings):
    """Klarna's table in sources.toml."""

    key_ids: tuple[str, ...]

    @field_validator("key_ids")
    @classmethod
    def _one_for_each(cls, key_ids: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(key_ids) != len(info.data.get("secrets", key_ids)):
            raise ValueError("there must be one for each of the secrets, in their order")
        if not all(key_ids) or len(set(key_ids)) < len(key_ids):
            raise ValueError("one is empty, or is listed twice")
        return key_ids


class _Metadata(Model):
    event_id: str
    event_type: str
    occurred_at: Any = None


class _Event(Model):
    metadata: _Metadata
    payload: Any = None


class Klarna(RawBody):
    """Klarna's events, one per request."""

    name: ClassVar[str] = "klarna"
    scheme: ClassVar[Scheme] = Scheme(header="Klarna-Signature")
    Source: ClassVar[type[SourceSettings]] = KlarnaSettings

    def __init__(self, settings: KlarnaSettings) -> None:
        super().__init__(settings)
        self._numbers = {key_id.encode(): number for number, key_id in enumerate(settings.key_ids, start=1)}

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the header made with the secret whose id the request names. Raise SignatureError."""
        key_ids = request.headers.get_all(KEY_ID)
        if not any(key_ids):
            raise SignatureError("missing", f"there is no {KEY_ID} header")
        number = self._numbers.get(key_ids[0]) if len(key_ids) == 1 else None
        if number is None:
            raise SignatureError("mismatch", f"the {KEY_ID} header does not name one of the source's keys")
        keys = self._keys[number - 1 : number]
        proof = self.scheme.prove(keys, request.body, request.headers.get_all(self.scheme.header))
        return Proof(secret_number=number, signed=proof.signed)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        names = ("payment_request_id", "payment_transaction_id", "dispute_id")
        return [
            ParsedEvent(
                event_id=event.metadata.event_id,
                type=event.metadata.event_type,
                # Transactions and disputes name their payment request: its events are processed together.
                resource=first_id(*(get_path(event.payload, name) for name in names)) or event.metadata.event_id,
                occurred_at=first_timestamp(event.metadata.occurred_at),
            )
        ]
