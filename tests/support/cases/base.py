"""What the conformance suite needs to know of a provider. The other files in this folder have the cases."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from hypothesis import strategies as st

from contract.event import Signed as Covers
from providers import PROVIDERS
from providers.base import Headers, Provider, Request

RawHeaders = list[tuple[bytes, bytes]]

NOW = datetime(2026, 9, 17, 12, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())

TEXT = st.text(min_size=1, max_size=40)


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed request; tests change one part and send the rest.

    `headers` are those that the signature covers or that hold it; `unsigned` those that anyone can change.
    """

    headers: RawHeaders
    body: bytes
    unsigned: tuple[tuple[bytes, bytes], ...] = ()
    target: str = "/webhooks/a"

    def sent(self) -> tuple[RawHeaders, bytes]:
        """Return the headers and the body as they are sent."""
        return [*self.headers, *self.unsigned], self.body

    def request(self, received_at: datetime = NOW) -> Request:
        headers, body = self.sent()
        return Request("POST", self.target, Headers(headers), body, received_at)

    def with_body(self, body: bytes) -> "Signed":
        return replace(self, body=body)

    def with_headers(self, headers: RawHeaders) -> "Signed":
        return replace(self, headers=headers)

    def with_header(self, name: bytes, value: bytes) -> "Signed":
        """Return the request with another value in one header, at the same position."""
        return self.with_headers([(key, value if key == name else old) for key, old in self.headers])

    def without_header(self, name: bytes) -> "Signed":
        return self.with_headers([(key, value) for key, value in self.headers if key != name])


@dataclass(frozen=True, slots=True)
class Expected:
    """The event of `Case.signed`, written by hand and not computed by the project's code.

    `{sha256}` in the id stands for the digest of `Case.hashed`.
    """

    event_id: str
    type: str
    resource: str
    occurred_at: datetime | None


JUST_BEFORE = datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)
"""The time in most of the events."""


class Case(ABC):
    """What the conformance suite needs to know of one provider."""

    provider: ClassVar[str]
    secrets: ClassVar[tuple[str, str, str]]
    signature: ClassVar[bytes]
    """The header that holds the signature."""
    timed: ClassVar[bool] = False
    """Whether a time is signed, so that there is a tolerance."""
    covers: ClassVar[Covers] = "body"
    """What the signature covers. Only with "body" is every change of the body detected."""
    unsigned: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()
    """Headers that are not signed."""
    settings: ClassVar[Mapping[str, object]] = {}
    """The settings its table needs, apart from the secrets."""
    dated: ClassVar[bool] = True
    """Whether its events have a time."""
    target: ClassVar[str] = "/webhooks/a"
    """Path and query, which some providers sign too."""
    expected: ClassVar[Expected]
    """The event of `signed`, written by hand."""
    sent_as: ClassVar[type[Signed]] = Signed
    """The class of the request. A signature that is sent in the body counts as a header until it is sent."""

    def source(self, *secrets: str, **settings: object) -> Provider:
        """Return a source of this provider, by default with the first secret."""
        kind = PROVIDERS[self.provider]
        known = {"source": "a", "provider": self.provider, "secrets": secrets or self.secrets[:1]}
        return kind(kind.Source.model_validate({**known, **self.settings, **settings}))

    @abstractmethod
    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        """Return the headers, made by the provider's own code."""

    @abstractmethod
    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        """Return the headers for any bytes; the provider's code may take only text."""

    @abstractmethod
    def event(self, text: str) -> dict[str, Any]:
        """Return a body the provider could send, with `text` somewhere in it."""

    def write(self, event: dict[str, Any], indent: int | None = None, *, ascii_only: bool = True) -> str:
        """Return the body as it is sent: JSON, unless the provider sends something else."""
        return json.dumps(event, indent=indent, ensure_ascii=ascii_only)

    def kept(self, body: bytes) -> bytes:
        """Return the part of a body that is stored with its event."""
        return body

    def hashed(self, body: bytes) -> bytes:
        """Return what a digest id is computed from."""
        return body

    def expected_id(self, body: bytes) -> str:
        """Return the id of an event with this body."""
        return self.expected.event_id.replace("{sha256}", f"sha256:{hashlib.sha256(self.hashed(body)).hexdigest()}")

    def expected_payload(self, signed: Signed) -> bytes:
        """Return the bytes stored with the event of `signed`: the body, or in a batch the event's own part."""
        return signed.sent()[1]

    def deliver(self, body: str, secret: str | None = None, at_s: int = NOW_S) -> Signed:
        """Return a genuine request with this body, signed by the provider's own code."""
        headers = self.sign(body, secret or self.secrets[0], at_s)
        return self.sent_as(headers, body.encode(), self.unsigned, self.target)

    def deliver_bytes(self, body: bytes, secret: str | None = None, at_s: int = NOW_S) -> Signed:
        """Return a genuine request with any bytes."""
        headers = self.sign_bytes(body, secret or self.secrets[0], at_s)
        return self.sent_as(headers, body, self.unsigned, self.target)

    def signed(self, secret: str | None = None, at_s: int = NOW_S) -> Signed:
        """Return a genuine request."""
        return self.deliver(self.write(self.event("Café, 2 €")), secret, at_s)
