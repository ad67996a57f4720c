"""What a provider's API can be asked: which events or payments it has, and how an object is now.

One file `providers/<name>/api.py` for each provider has a subclass of `Api`, and of those of `EventList`,
`PaymentList` and `Confirmation` whose questions its API answers. It makes requests by `providers.api_client` only.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import quote

from contract.event import TEXT_CHARS_MAX, EnvelopeError, Event, Mode, Origin
from contract.text import has_refused_character
from providers.api_access import ApiAccess, KeyAccess
from providers.base import ParsedEvent

if TYPE_CHECKING:
    from providers.api_client import ApiClient


class ApiError(Exception):
    """An API did not answer a question. The text is one sentence, names no secret, and is safe to show."""


class ApiUnavailableError(ApiError):
    """It cannot answer now: try again later, after `retry_after_s` where it named a time."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class ApiRefusedError(ApiError):
    """It does not accept the credentials, or they may not read this. `status`: 401 or 403."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class NotFoundError(ApiError):
    """It has no such object."""


class ApiUnexpectedError(ApiError):
    """Its answer is not what the provider documents, or says that the question is wrong.

    `status` and `body` are those of an answer that is no success, for the provider's own module. They are not shown.
    """

    def __init__(self, text: str, status: int = 0, body: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Window:
    """The time from `since`, which belongs to it, to `until`, which does not. Aware UTC."""

    since: datetime
    until: datetime

    def __contains__(self, time: datetime) -> bool:
        return self.since <= time < self.until

    def halves(self) -> tuple["Window", "Window"]:
        """Return its first and its second half."""
        middle = self.since + (self.until - self.since) / 2
        return Window(self.since, middle), Window(middle, self.until)


@dataclass(slots=True)
class Listed:
    """An event of the provider's list, or an object of which an event can be made.

    `parsed` is what the provider's `parse` returns of a delivery of it; `body` what is published: of an event, its
    bytes as a delivery would have them; of an object, its bytes as the API has them. `aliases` are further ids under
    which a delivery may be recorded, such as those of PayPal's transmissions. `unreadable` says why it cannot be read:
    of what `parsed` has, only the id counts then, and the type unless it is ''.
    """

    parsed: ParsedEvent
    body: bytes = field(repr=False)
    aliases: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the API says about the object of an event.

    `body` and `type` are those of an event that `extract_facts` reads in place of the one that was delivered;
    `headers` are added to its own. `account`: whose money it is, where a forged event could name another account; None
    where the event's is proven, or the provider names none.
    """

    body: bytes = field(repr=False)
    type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do. `timeout_s` is for each attempt, from connecting to the answer's last byte."""

    timeout_s: float = 30.0
    attempts_max: int = 6
    concurrent_max: int = 4
    requests_per_s_max: float = 20.0


class Api(ABC):
    """The API of one source's account. Use as an async context manager; `client` is open within it."""

    name: ClassVar[str]
    """The provider's name."""

    Access: ClassVar[type[ApiAccess]] = KeyAccess
    """The model of its settings."""

    base_urls: ClassVar[Mapping[Mode, str]]
    """The API's address in each mode: with what is at their hosts, and nobody else, a request may ever be made."""

    limits: ClassVar[Limits | None] = None
    """What one program may ask of it; None for the ordinary limits."""

    client: "ApiClient"

    def __init__(self, access: ApiAccess) -> None:
        self.access = access
        self._stack = AsyncExitStack()

    @property
    def base_url(self) -> str:
        """The address that is asked: the provider's own, or a stand-in on this machine."""
        return self.access.api_url or self.base_urls[self.access.mode]

    def new_client(self, limits: Limits | None = None) -> "ApiClient":
        """Return a client of this API. A provider of which a request needs more than the ordinary headers adds them."""
        from providers.api_client import ApiClient  # noqa: PLC0415 - checks need no aiohttp

        return ApiClient(self.base_url, limits or self.limits)

    async def open(self, limits: Limits | None = None) -> Self:
        """Open the connections. `limits`: other than the ordinary ones of this API."""
        self.client = await self._stack.enter_async_context(self.new_client(limits))
        return self

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def check(self) -> str:
        """Make one harmless read. Return whose account it is, in words for the operator; raise ApiError."""


class Listing(ABC):
    """What a list of events or payments can show. A provider sets what differs."""

    reach: ClassVar[timedelta]
    """How far back it goes."""

    lag: ClassVar[timedelta] = timedelta(minutes=1)
    """How long something may have happened before it is listed: a window that ended later is not complete yet."""

    overlap: ClassVar[timedelta] = timedelta(hours=1)
    """How much of the time that was read already is read again: something may be listed there late. No provider says
    how late, and an hour more costs a few pages."""

    empty_proves: ClassVar[bool] = True
    """Whether an empty list of a window says that nothing happened in it."""

    is_exhaustive: bool = True
    """Whether every event that is delivered is listed, too. If not, one that is not listed is nothing to look at."""

    unlisted: ClassVar[str] = ""
    """What it never shows although it is about money, in words for the operator; "" where it shows everything."""


class EventList(Listing):
    """An API that lists the events it made, whether or not they were delivered."""

    ids_differ: ClassVar[bool] = False
    """Whether a delivery of an event has another id than the list names: it is known by what it says then."""

    @abstractmethod
    def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events of a window, page by page, in any order.

        An event may come twice where the list changes meanwhile; none that was there at the beginning may be missing.
        Raise ApiError.
        """


class PaymentList(Listing):
    """An API without a list of events, but with one of payments (and what became of them)."""

    @abstractmethod
    def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the payments that were made, or whose money moved, in a window, as far as the API knows.

        Each is an object of which `extract_facts` returns all that is known: an event that nobody delivered, with an
        id that names the object and its version, so that the same state always has the same id. Raise ApiError.
        """


class PaymentLookup(ABC):
    """An API that lists payments by the time they were made, and says what became of a known one since."""

    @abstractmethod
    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        """Return a payment and what became of it, as `list_payments` yields them. Raise NotFoundError, or ApiError."""


class Confirmation(ABC):
    """An API that says how the object of an event is."""

    @abstractmethod
    def must_ask(self, event: Event) -> bool:
        """Return whether the event is about money that only the API knows, or proves. Reads the event, asks nobody.

        An event that the API listed (`signed` is `api`) is proven, but may lack what only its object says.
        """

    @abstractmethod
    async def fetch(self, event: Event) -> Fetched:
        """Return what the API says about the event's object.

        Only ids are taken from the event, never an address. Raise NotFoundError where there is no such object, or where
        it is of another payment than the event's, under which it would be booked; and other ApiErrors.
        """


def segment(id_: str) -> str:
    """Return an id as one segment of a path, whatever else it has. Raise NotFoundError where no event can name it."""
    if not 0 < len(id_) <= TEXT_CHARS_MAX or id_ in (".", "..") or has_refused_character(id_):
        raise NotFoundError("no object can have such an id")
    return quote(id_, safe="")


def to_event(access: ApiAccess, provider: str, listed: Listed, received_at: datetime, origin: Origin) -> Event:
    """Return a listed event as it is published. Raise ApiUnexpectedError where its envelope could not carry it."""
    parsed = listed.parsed
    try:
        return Event(
            source=access.source,
            namespace=access.namespace,
            provider=provider,
            event_id=parsed.event_id,
            type=parsed.type,
            resource=parsed.resource,
            occurred_at=parsed.occurred_at,
            received_at=received_at,
            signed="api",
            body=listed.body,
            headers=parsed.headers,
            mode=parsed.mode,
            account=parsed.account,
            origin=origin,
        )
    except EnvelopeError as error:
        raise ApiUnexpectedError(f"a listed event cannot be carried: {error}") from error
