"""The base of every provider: a request's bytes in, verified events out. A sender's oddities stay in its own file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self, final

from multidict import CIMultiDict, MultiMapping
from pydantic import Field, field_validator, model_validator

from contract.accounts import Capture, Trust, check_accounts
from contract.event import EnvelopeError, Event, Mode, Signed
from contract.keys import NAMESPACE_PATTERN
from providers.api_access import AskingSettings
from providers.secret import Secret

TOLERANCE_S_DEFAULT = 300
"""How far a signed timestamp may differ from our clock, either way: the value of the senders' own libraries."""

TOLERANCE_S_MAX = 86_400

BODY_BYTES_DEFAULT = 1024 * 1024
"""The largest body of a provider that is not known to send larger ones."""

BODY_BYTES_LARGE = 8 * 1024 * 1024
"""The largest body of a provider that sends more than a mebibyte, and publishes no limit, or one above this."""

BODY_BYTES_MIN, BODY_BYTES_MAX = 1024, 64 * 1024 * 1024
"""What a limit may be set to."""

SignatureReason = Literal["missing", "malformed", "mismatch", "stale", "future"]


class SignatureError(Exception):
    """Nothing proves that the provider sent the request. The text is for log and metric, and not shown to senders."""

    def __init__(self, reason: SignatureReason, detail: str, age_s: float | None = None) -> None:
        super().__init__(detail)
        self.reason: SignatureReason = reason
        self.age_s = age_s
        """Set where only the clock refused it: its age in seconds when it was received, negative if signed later."""


class PayloadError(Exception):
    """The signature is genuine, but the body is not as the provider documents it. The text is safe to show."""


class UnavailableError(Exception):
    """The signature cannot be checked now (a certificate cannot be fetched). The sender should retry."""


class Headers:
    """The headers of a request as bytes. A name may be repeated, and a value may hold any bytes."""

    __slots__ = ("_texts",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._texts: MultiMapping[str] = CIMultiDict((_text(name), _text(value)) for name, value in raw)

    @classmethod
    def parsed(cls, texts: MultiMapping[str]) -> Self:
        """Return the headers that aiohttp parsed. Bytes that are not UTF-8 are surrogates in it."""
        headers = cls.__new__(cls)
        headers._texts = texts
        return headers

    def get_all(self, name: str) -> list[bytes]:
        """Return every value of the header, in the order of arrival."""
        texts = self._texts.getall(name, None)
        return [text.encode("utf-8", "surrogateescape") for text in texts] if texts else []

    def first(self, name: str) -> bytes | None:
        """Return the first value of the header, None where it is absent."""
        text = self._texts.get(name)
        return None if text is None else text.encode("utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


# The records of a request are not frozen: a frozen dataclass sets each field by a call, which made 8 % of all that
# receiving an event costs.


@dataclass(slots=True)
class Request:
    """A received request, as bytes. `target` is path and query as received, `received_at` is aware UTC."""

    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    traceparent: str = ""


@dataclass(slots=True)
class ParsedEvent:
    """One event of a body.

    `headers` holds the few that a later reader needs as well as the body. `body` is the event's own part of a request
    that carries several events, byte for byte; None stands for the whole body. `mode` and `account` are as in `Event`.
    """

    event_id: str
    type: str
    resource: str
    occurred_at: datetime | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    mode: Mode | None = None
    account: str = ""


@dataclass(slots=True)
class Proof:
    """Evidence that a request is genuine: the number of the secret that signed it (from 1), and what that covers.

    `parse` is set by a provider whose signatures are inside the body: it continues with what was read to find them,
    so that no body is read twice. None stands for `Provider.parse`.
    """

    secret_number: int
    signed: Signed
    parse: Callable[[], list[ParsedEvent]] | None = field(default=None, repr=False)


@dataclass(slots=True)
class Delivery:
    """A verified event. Only `Provider.verify` makes one, and publishing takes nothing else."""

    event: Event
    secret_number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that a sender requires."""

    status: int
    content_type: str
    body: bytes


class SourceSettings(AskingSettings):
    """One table of sources.toml. A provider with settings of its own extends this."""

    source: Annotated[str, Field(pattern=f"^{NAMESPACE_PATTERN.pattern}$")]
    provider: str
    namespace: Annotated[str, Field(pattern=f"^{NAMESPACE_PATTERN.pattern}$")]
    secrets: tuple[Secret, ...]

    body_bytes_max: Annotated[int, Field(strict=True, ge=BODY_BYTES_MIN, le=BODY_BYTES_MAX)] | None = None
    """The largest body of this source. None: BODY_BYTES_MAX where an operator set it, else what its provider needs."""

    mode: Mode = "live"
    """Whether its events are about real money. An event that says otherwise is recorded, and moves nothing."""

    trust: Trust = "signed"
    capture: Capture = "manual"
    accounts: dict[str, str] = Field(default_factory=dict)
    """How the source's money is booked. Only the consumers use these; a mistake in them stops the gateway too."""

    @field_validator("accounts")
    @classmethod
    def _accounts_can_be_booked(cls, accounts: dict[str, str]) -> dict[str, str]:
        return check_accounts(accounts)

    @model_validator(mode="before")
    @classmethod
    def _namespace_is_the_name(cls, values: Mapping[str, object]) -> dict[str, object]:
        """Use the source's name where no namespace is set."""
        return {"namespace": values.get("source"), **values}

    @field_validator("secrets")
    @classmethod
    def _some_and_different(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        """Refuse no secrets, with which anyone could sign, and equal ones, whose uses could not be counted apart."""
        if not secrets:
            raise ValueError("the list is empty")
        if len({secret.reveal() for secret in secrets}) < len(secrets):
            raise ValueError("the same secret is listed twice")
        return secrets


class TimedSettings(SourceSettings):
    """The table of a provider that signs a timestamp."""

    tolerance_s: Annotated[int, Field(strict=True, ge=1, le=TOLERANCE_S_MAX)] = TOLERANCE_S_DEFAULT


class Provider(ABC):
    """A sender: how it signs, and where its events have their id, type, resource and time.

    A subclass defines `authenticate` and `parse`; `verify` calls them in the only safe order. One object serves one
    source. Its `Source` refuses settings that cannot work, so that building the object cannot fail.
    """

    name: ClassVar[str]
    """The value of `provider =` in sources.toml."""

    Source: ClassVar[type[SourceSettings]] = SourceSettings
    """The model of its table in sources.toml."""

    body_bytes_max: ClassVar[int] = BODY_BYTES_DEFAULT
    """The largest body, unless a source or an operator sets another limit."""

    accepted: ClassVar[Answer | None] = None
    """The answer that this sender requires when every event is durable; None for the ordinary answer."""

    unauthorized_status: ClassVar[int] = 401
    """The status that this sender expects when the signature does not verify."""

    challenges: ClassVar[bool] = False
    """Whether this sender first asks, by GET, for proof that the endpoint knows the secret."""

    certificate_expires_at: datetime | None = None
    """When the certificate expires by which the last genuine request was verified; None for signatures without one."""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    @abstractmethod
    async def authenticate(self, request: Request) -> Proof:
        """Prove from the raw bytes that the provider sent this. Raise SignatureError, or UnavailableError."""

    @abstractmethod
    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the events of a request. Raise PayloadError."""

    def challenge(self, request: Request) -> Answer:
        """Return the proof that a GET asks for, where `challenges` is set. Raise SignatureError for any other GET."""
        raise SignatureError("malformed", f"{self.name} sends no challenge, so {request.method} is not answered")

    @final
    async def verify(self, request: Request) -> list[Delivery]:
        """Return the verified events of a request, all or none. Nothing is parsed before the signature is proven.

        Raise SignatureError, PayloadError or UnavailableError and nothing else, whatever the request holds.
        """
        proof = await self.authenticate(request)
        events = self.parse(request) if proof.parse is None else proof.parse()
        return [Delivery(self.to_event(request, proof.signed, event), proof.secret_number) for event in events]

    @final
    def to_event(self, request: Request, signed: Signed, parsed: ParsedEvent) -> Event:
        """Return the event as it is published. Raise PayloadError where its envelope could not carry it."""
        try:
            return Event(
                source=self.settings.source,
                namespace=self.settings.namespace,
                provider=self.name,
                event_id=parsed.event_id,
                type=parsed.type,
                resource=parsed.resource,
                occurred_at=parsed.occurred_at,
                received_at=request.received_at,
                signed=signed,
                body=request.body if parsed.body is None else parsed.body,
                headers=parsed.headers,
                traceparent=request.traceparent,
                mode=parsed.mode,
                account=parsed.account,
            )
        except EnvelopeError as error:
            raise PayloadError(f"the event cannot be carried: {error}") from error
