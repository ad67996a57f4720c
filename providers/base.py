"""What every provider is: a request's bytes in, verified events out. A sender's oddities stay in its own file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self, final

from multidict import CIMultiDict, MultiMapping
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from contract.accounts import Capture, Trust, check_accounts
from contract.event import EnvelopeError, Event, Signed
from contract.keys import NAMESPACE_PATTERN
from providers.secret import Secret

TOLERANCE_S_DEFAULT = 300
"""How far a signed timestamp may be from our clock, before or behind: what the senders' own libraries use."""

TOLERANCE_S_MAX = 86_400

SignatureReason = Literal["missing", "malformed", "mismatch", "stale", "future"]


class SignatureError(Exception):
    """Nothing proves that the provider sent this. Outside there is one text for all; this one is for log and metric."""

    def __init__(self, reason: SignatureReason, detail: str, age_s: float | None = None) -> None:
        super().__init__(detail)
        self.reason: SignatureReason = reason
        self.age_s = age_s
        """Where only the clock refused it: how long before it was received it was signed, less than 0 for after."""


class PayloadError(Exception):
    """The signature is genuine, but the body is not what the provider documents. The text is safe to show."""


class UnavailableError(Exception):
    """Whether the request is genuine cannot be told now (a certificate cannot be fetched). The sender should retry."""


class Headers:
    """A request's headers as bytes. Any name may be repeated, any value may be other than ASCII."""

    __slots__ = ("_texts",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._texts: MultiMapping[str] = CIMultiDict((_text(name), _text(value)) for name, value in raw)

    @classmethod
    def parsed(cls, texts: MultiMapping[str]) -> Self:
        """The headers as aiohttp has them, names in any case: bytes that are no UTF-8 stand there as surrogates."""
        headers = cls.__new__(cls)
        headers._texts = texts
        return headers

    def get_all(self, name: str) -> list[bytes]:
        """Every value of the header, in the order of arrival."""
        return [text.encode("utf-8", "surrogateescape") for text in self._texts.getall(name, ())]

    def first(self, name: str) -> bytes | None:
        """The first value of the header, None where it is absent."""
        text = self._texts.get(name)
        return None if text is None else text.encode("utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Request:
    """What came: bytes only, read once. `target` is path and query as received, `received_at` is aware UTC."""

    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """One event of a body.

    `headers` holds the few that a later reader needs as well as the body. `body` is the event's own part of a request
    that carries several events, byte for byte; None stands for the whole body.
    """

    event_id: str
    type: str
    resource: str
    occurred_at: datetime | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence that a request is genuine: the number of the secret that signed it (from 1), and what that covers.

    `parse` is set by a provider whose signatures are inside the body: it continues with what was read to find them,
    so that no body is read twice. None stands for `Provider.parse`.
    """

    secret_number: int
    signed: Signed
    parse: Callable[[], list[ParsedEvent]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verified event. Only `Provider.verify` makes one, and publishing takes nothing else."""

    event: Event
    secret_number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A response a sender insists on."""

    status: int
    content_type: str
    body: bytes


class SourceSettings(BaseModel):
    """One table of sources.toml. A provider with settings of its own extends this."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: Annotated[str, Field(pattern=f"^{NAMESPACE_PATTERN.pattern}$")]
    provider: str
    namespace: Annotated[str, Field(pattern=f"^{NAMESPACE_PATTERN.pattern}$")]
    secrets: tuple[Secret, ...]

    trust: Trust = "signed"
    capture: Capture = "manual"
    accounts: dict[str, str] = {}
    """How the source's money is booked. Only the consumers obey these; a mistake in them is told here, at the start."""

    @field_validator("accounts")
    @classmethod
    def _accounts_can_be_booked(cls, accounts: dict[str, str]) -> dict[str, str]:
        return check_accounts(accounts)

    @model_validator(mode="before")
    @classmethod
    def _namespace_is_the_name(cls, values: Mapping[str, object]) -> dict[str, object]:
        """Where no namespace is set, a source is a namespace of its own."""
        return {"namespace": values.get("source"), **values}

    @field_validator("secrets")
    @classmethod
    def _some_and_different(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        """Without one anyone could sign; and which one verified is counted, so that an old one can be retired."""
        if not secrets:
            raise ValueError("there is none")
        if len({secret.reveal() for secret in secrets}) < len(secrets):
            raise ValueError("the same secret is listed twice")
        return secrets


class TimedSettings(SourceSettings):
    """The table of a provider that signs a timestamp."""

    tolerance_s: Annotated[int, Field(strict=True, ge=1, le=TOLERANCE_S_MAX)] = TOLERANCE_S_DEFAULT


class Provider(ABC):
    """How one sender signs, and where its events have their id, type, resource and time.

    A subclass writes `authenticate` and `parse`; `verify` puts them in the only safe order. One object serves one
    source. Settings it could not work with are refused by its `Source`, so that building it cannot fail.
    """

    name: ClassVar[str]
    """What `provider = ` says in sources.toml."""

    Source: ClassVar[type[SourceSettings]] = SourceSettings
    """What its table in sources.toml may hold."""

    accepted: ClassVar[Answer | None] = None
    """What this sender wants to read when every event is durable, where the ordinary answer does not do."""

    unauthorized_status: ClassVar[int] = 401
    """What this sender wants to read when the signature does not verify."""

    challenges: ClassVar[bool] = False
    """Whether this sender asks with a GET, before it sends anything, for proof that the endpoint knows the secret."""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    @abstractmethod
    async def authenticate(self, request: Request) -> Proof:
        """Prove from the raw bytes that the provider sent this. Raise SignatureError, or UnavailableError."""

    @abstractmethod
    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the events of a request. Raise PayloadError."""

    def challenge(self, request: Request) -> Answer:
        """The proof a GET asks for; only called where `challenges` says so. Raises SignatureError for any other GET."""
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
            )
        except EnvelopeError as error:
            raise PayloadError(f"the event cannot be carried: {error}") from error
