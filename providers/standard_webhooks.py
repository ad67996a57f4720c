"""Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> …`.

Signed is `<id>.<timestamp>.<body>`. The prefix of a key says which signatures it verifies, so that a public key is
never used as a secret:

* `whsec_<base64>`, or bare base64: HMAC-SHA256, sent as `v1`.
* `whpk_<base64>`: the sender's Ed25519 public key, sent as `v1a`. It is not a secret and has its own setting,
  `public_key`. It may also be listed in `secrets`. A source with a public key needs no secret.

Several signatures, separated by spaces, are made with several secrets; other versions are ignored. An id may contain a
full stop, but moving the borders between id, timestamp and body never leaves a body that is a JSON object.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, ValidationInfo, field_validator

from providers import signing
from providers.base import (
    ParsedEvent,
    PayloadError,
    Proof,
    Provider,
    Request,
    SignatureError,
    SourceSettings,
    TimedSettings,
)
from providers.models import Model
from providers.off_loop import OffLoop
from providers.payload import first_timestamp, get_path, read_json
from providers.public_keys import OneOrMore, require_one
from providers.secret import Secret

ID = "webhook-id"

SECRET_PREFIX = "whsec_"  # noqa: S105 - the part of every secret that is no secret
PUBLIC_KEY_PREFIX = "whpk_"
PUBLIC_KEY_BYTES = 32

TYPE_UNKNOWN = "unknown"
"""The type of an event without one; the specification only recommends it."""

Key = bytes | Ed25519PublicKey


def _key(secret: Secret) -> Key:
    """Return the key that a secret holds. Raise ValueError, whose text does not contain the secret."""
    text = secret.reveal()
    if text.startswith(PUBLIC_KEY_PREFIX):
        return _public_key(text)
    return signing.key_from_base64(text.removeprefix(SECRET_PREFIX))


def _public_key(text: str) -> Ed25519PublicKey:
    public_key = signing.key_from_base64(text.removeprefix(PUBLIC_KEY_PREFIX))
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a public key has {len(public_key)} bytes, not {PUBLIC_KEY_BYTES}")
    return Ed25519PublicKey.from_public_bytes(public_key)


def signed_headers(key: bytes, message_id: str, sent_at_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message that we send ourselves."""
    signature = signing.padded_base64(signing.hmac_sha256(key, f"{message_id}.{sent_at_s}.".encode() + body))
    return {ID: message_id, "webhook-timestamp": f"{sent_at_s}", "webhook-signature": f"v1,{signature.decode()}"}


class StandardSettings(TimedSettings):
    """The table in sources.toml. Secrets and public keys must be base64."""

    secrets: tuple[Secret, ...] = ()
    public_key: OneOrMore = Field(default=(), validate_default=True)

    @field_validator("secrets")
    @classmethod
    def _are_base64(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        for number, secret in enumerate(secrets, start=1):
            try:
                _key(secret)
            except ValueError as error:
                raise ValueError(f"number {number}: {error}") from None
        return secrets

    @field_validator("public_key")
    @classmethod
    def _are_public_keys(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in require_one(given, info):
            _public_key(text)
        return given


class _Event(Model):
    """The recommended structure, all of it optional. Svix's own examples write `event_type`."""

    type: str = ""
    event_type: Any = None
    timestamp: Any = None
    data: Any = None


class StandardWebhooks(Provider):
    """Events of any sender that follows the specification, one per request."""

    name: ClassVar[str] = "standard_webhooks"
    Source: ClassVar[type[SourceSettings]] = StandardSettings

    prefixes: ClassVar[tuple[str, ...]] = ("webhook-",)
    """The prefixes of the three headers' names. A request uses one of them."""

    def __init__(self, settings: TimedSettings) -> None:
        super().__init__(settings)
        keys = dict(enumerate(self._keys(settings), start=1))
        self._hmac_keys = {number: key for number, key in keys.items() if isinstance(key, bytes)}
        self._public_keys = {number: key for number, key in keys.items() if isinstance(key, Ed25519PublicKey)}
        self._tolerance_s = settings.tolerance_s
        self._off_loop = OffLoop(settings.source)

    def _keys(self, settings: TimedSettings) -> list[Key]:
        """Return the keys of the secrets, then the public keys."""
        if not isinstance(settings, StandardSettings):
            raise TypeError("the source's settings are those of another provider")
        return [*map(_key, settings.secrets), *map(_public_key, settings.public_key)]

    async def authenticate(self, request: Request) -> Proof:
        """Accept any v1 or v1a signature by any of the keys within the tolerance. Raise SignatureError."""
        prefix = self._prefix(request)
        event_id, timestamp = _single(request, f"{prefix}id"), _single(request, f"{prefix}timestamp")
        signatures = request.headers.get_all(f"{prefix}signature")
        if not any(signatures):
            raise SignatureError("missing", f"there is no {prefix}signature header")
        signed_at_s = signing.unix_s(timestamp)
        number = await self._prove(b".".join((event_id, timestamp, request.body)), signatures)
        signing.check_clock(signed_at_s, request.received_at, self._tolerance_s)
        return Proof(secret_number=number, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event, whose id is the signed header; a retry has the same. Raise PayloadError."""
        event = read_json(_Event, request.body)
        prefix = self._prefix(request)
        event_id = _text(_single(request, f"{prefix}id"))
        signed_at_s = signing.unix_s(_single(request, f"{prefix}timestamp"))
        named = event.event_type if isinstance(event.event_type, str) else ""
        return [
            ParsedEvent(
                event_id=event_id,
                type=event.type or named or TYPE_UNKNOWN,
                resource=self._resource(event.data) or event_id,
                occurred_at=first_timestamp(event.timestamp if isinstance(event.timestamp, str) else None, signed_at_s),
                headers={ID: event_id},
            )
        ]

    def _resource(self, data: object) -> str | None:
        """Return the id of what the event is about, if the sender follows the recommended structure."""
        about = get_path(data, "id")
        return about if isinstance(about, str) else None

    def _prefix(self, request: Request) -> str:
        """Return the prefix that the request uses, or else the usual one."""
        used = (prefix for prefix in self.prefixes if request.headers.get_all(f"{prefix}signature"))
        return next(used, self.prefixes[0])

    async def _prove(self, message: bytes, values: Sequence[bytes]) -> int:
        """Return the number of the key that made one of the signatures. Raise SignatureError, UnavailableError."""
        items = [item.partition(b",") for item in signing.header_items(values, b" ")]
        v1 = [signature for version, _, signature in items if version == b"v1" and self._hmac_keys]
        v1a = [signature for version, _, signature in items if version == b"v1a" and self._public_keys]
        if not v1 and not v1a:
            raise SignatureError("malformed", "there is no signature of a version that the source has a key for")
        number = await self._off_loop.run(signing.ed25519_key, self._public_keys, message, v1a) if v1a else None
        if number is None:
            number = list(self._hmac_keys)[
                signing.signing_key(list(self._hmac_keys.values()), message, v1, signing.padded_base64) - 1
            ]
        return number


def _single(request: Request, name: str) -> bytes:
    """Return the value of a signed header, which must come exactly once. Raise SignatureError."""
    values = request.headers.get_all(name)
    if not any(values):
        raise SignatureError("missing", f"there is no {name} header")
    if len(values) > 1:
        raise SignatureError("malformed", f"the {name} header is repeated")
    return values[0]


def _text(event_id: bytes) -> str:
    try:
        return event_id.decode()
    except UnicodeDecodeError:
        raise PayloadError(f"the {ID} header is not UTF-8 text") from None
