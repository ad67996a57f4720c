"""Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> …`.

Signed is `<id>.<timestamp>.<body>`; the key is the base64 after `whsec_`. Several signatures, separated by spaces,
stand for several secrets; versions other than v1 are ignored. An id may hold a full stop: whoever moves the borders
between id, timestamp and body is never left with a body that is a JSON object.
"""

import contextlib
from datetime import datetime
from typing import Any, ClassVar

from pydantic import field_validator

from gateway.providers import signing
from gateway.providers.base import (
    Draft,
    PayloadError,
    Proof,
    Provider,
    Request,
    SignatureError,
    SourceSettings,
    TimedSettings,
)
from gateway.providers.payload import Body, read_json, time_from_iso, time_from_unix
from gateway.providers.secret import Secret

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

SECRET_PREFIX = "whsec_"  # noqa: S105 - the part of every secret that is no secret

TYPE_UNKNOWN = "unknown"
"""The type of an event that names none: the specification only recommends to."""


def _key(secret: Secret) -> bytes:
    return signing.key_from_base64(secret.reveal().removeprefix(SECRET_PREFIX))


class StandardSettings(TimedSettings):
    """Its table in sources.toml. The secrets must be base64."""

    @field_validator("secrets")
    @classmethod
    def _are_base64(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        for number, secret in enumerate(secrets, start=1):
            try:
                _key(secret)
            except ValueError as error:
                raise ValueError(f"number {number}: {error}") from None
        return secrets


class _Event(Body):
    """The recommended structure; none of it is certain."""

    type: str = TYPE_UNKNOWN
    timestamp: Any = None
    data: Any = None


class StandardWebhooks(Provider):
    """Events of any sender that follows the specification, one a request."""

    name: ClassVar[str] = "standard_webhooks"
    Source: ClassVar[type[SourceSettings]] = StandardSettings

    def __init__(self, settings: StandardSettings) -> None:
        super().__init__(settings)
        self._keys = [_key(secret) for secret in settings.secrets]
        self._tolerance_s = settings.tolerance_s

    async def authenticate(self, request: Request) -> Proof:
        """Any v1 signature by any of the secrets, made within the tolerance."""
        event_id, timestamp = _single(request, ID), _single(request, TIMESTAMP)
        signatures = _signatures(request)
        signed_at_s = signing.unix_s(timestamp)
        message = b".".join((event_id, timestamp, request.body))
        number = signing.signing_key(self._keys, message, signatures, signing.padded_base64)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[Draft]:
        """The one event. Its id is the signed header; a retry has the same."""
        event = read_json(_Event, request.body)
        event_id = _event_id(request)
        about = event.data.get("id") if isinstance(event.data, dict) else None
        return [
            Draft(
                event_id=event_id,
                type=event.type or TYPE_UNKNOWN,
                resource=about if isinstance(about, str) and about else event_id,
                occurred_at=_occurred_at(event, request),
                headers={ID: event_id},
            )
        ]


def _single(request: Request, name: str) -> bytes:
    """The value of a header that is part of what is signed, and so may not be there twice."""
    values = request.headers.get_all(name)
    if not any(values):
        raise SignatureError("missing", f"there is no {name} header")
    if len(values) > 1:
        raise SignatureError("malformed", f"the {name} header is repeated")
    return values[0]


def _signatures(request: Request) -> list[bytes]:
    values = request.headers.get_all(SIGNATURE)
    if not any(values):
        raise SignatureError("missing", f"there is no {SIGNATURE} header")
    items = [item.partition(b",") for item in b" ".join(values).split(b" ")]
    signatures = [signature for version, _, signature in items if version == b"v1"]
    if not signatures:
        raise SignatureError("malformed", f"the {SIGNATURE} header has no v1 signature")
    return signatures


def _event_id(request: Request) -> str:
    try:
        return _single(request, ID).decode()
    except UnicodeDecodeError:
        raise PayloadError(f"the {ID} header is not UTF-8 text") from None


def _occurred_at(event: _Event, request: Request) -> datetime:
    """The body's time where it has one, else when the delivery was signed."""
    if isinstance(event.timestamp, str):
        with contextlib.suppress(PayloadError):
            return time_from_iso(event.timestamp)
    return time_from_unix(signing.unix_s(_single(request, TIMESTAMP)))
