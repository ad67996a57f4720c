"""Checkout.com's events, found by their payments and disputes: its API has no list of events by time.

`POST /payments/search` finds the payments that were made or changed, `GET /disputes` the disputes, and
`GET /workflows/events/subject/{id}` the events of each; an event is read whole by `GET /workflows/events/{id}`.

Sources: checkout.com/docs, "Search and filter payments", "API endpoints" and "API rate limits"; its API reference; and
checkout-sdk.

* Each merchant has a host of its own, below api.checkout.com, and another one in the sandbox. Addresses in answers name
  other hosts: only their path and query are used.
* Payments are found by when they were requested; what happened to one later is in its `actions`. So payments of the
  last PAYMENT_AGE are looked through, and the events are read of those to which something happened in the window.
* An answer without anything may have no body. Times have none to seven digits, and a sample ends in two Z.
* The account's limit is shared with the shop's own payments. Only events of the types that are compared are read.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator
from yarl import URL

from contract.event import Mode
from providers.api import Api, ApiUnexpectedError, EventList, Limits, Listed, NotFoundError, Window, segment
from providers.api_access import ApiAccess, KeyAccess, refuse_other_mode
from providers.api_pages import Pages, iso, listed_events, read_address, read_object, unreadable, within
from providers.checkout.facts import TYPES
from providers.checkout.webhook import parse_event
from providers.payload import first_timestamp, get_path
from providers.secret import Secret

PAYMENT_AGE = timedelta(days=30)
"""How long after it was requested something may happen to a payment, and be found."""

PAGE_PAYMENTS, PAGE_DISPUTES = 500, 250
"""Checkout.com allows 1000 and 250."""

MARGIN = timedelta(minutes=5)
"""How much an action's time may differ from its event's."""

DISPUTES_READ_MAX = 4
"""How often the disputes are read, until none is new: one that changes meanwhile moves to the front."""

_ABOUT, _ABOUT_PAYMENTS = "Checkout.com's events", "Checkout.com's list of payments"

_KEY = re.compile(r"sk_(?P<sandbox>sbox_)?[a-z2-7]{26}[a-z2-7*#$=]")
_EMPTY = frozenset({"_links", "limit", "skip", "from", "to", "total_count"})
"""What an answer without any object may have: one with anything else is no list."""

_SEARCH = "/payments/search"
_NEXT = re.compile(rf"{_SEARCH}/[A-Za-z0-9._~=-]*[A-Za-z0-9_~=-]")


class CheckoutAccess(KeyAccess):
    """The access of a Checkout.com account: a secret key, and the name of the account's host."""

    credentials: ClassVar[tuple[str, ...]] = ("api_key", "api_subdomain")

    api_subdomain: Annotated[str, Field(pattern="^(pl-)?[a-z0-9]{1,32}$")]
    """What stands before `.api.checkout.com`: most often the first eight characters of the client id."""

    @field_validator("api_key")
    @classmethod
    def _is_a_key_of_the_mode(cls, key: Secret, info: ValidationInfo) -> Secret:
        match = _KEY.fullmatch(key.reveal())
        if match is None:
            raise ValueError("not a secret key (sk_…) of Checkout.com's present platform")
        refuse_other_mode("test" if match["sandbox"] else "live", info)
        return key


class CheckoutApi(Api, EventList):
    """The events of a Checkout.com account."""

    name: ClassVar[str] = "checkout"
    Access: ClassVar[type[ApiAccess]] = CheckoutAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://api.checkout.com",
        "test": "https://api.sandbox.checkout.com",
    }
    """Below these hosts each account has its own."""

    limits: ClassVar[Limits | None] = Limits(concurrent_max=2, requests_per_s_max=10.0)
    """A tenth of what Checkout.com allows to the whole account."""

    reach: ClassVar[timedelta] = timedelta(days=90) - timedelta(hours=1)
    """Events of the last 90 days can be sent again; that older ones can be read is not said."""

    lag: ClassVar[timedelta] = timedelta(minutes=5)
    is_exhaustive: bool = False
    unlisted: ClassVar[str] = (
        f"what happened to a payment more than {PAYMENT_AGE.days} days after it was requested, except for disputes"
    )

    access: CheckoutAccess

    @property
    def base_url(self) -> str:
        """The address of the account's own host, or of a stand-in on this machine."""
        if self.access.api_url:
            return self.access.api_url
        url = URL(self.base_urls[self.access.mode])
        return str(url.with_host(f"{self.access.api_subdomain}.{url.host}"))

    async def check(self) -> str:
        """Search a payment and a dispute, and ask for the events of a payment that does not exist."""
        await self._search({"limit": 1})
        await self._disputes(0, 1, datetime.now(UTC) - timedelta(days=1))
        await self._subject("pay_" + "a" * 26)
        return "payments, disputes and events can be read"

    async def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events of a window, a page for each page of payments, and one for disputes."""
        seen = set[str]()
        async for ids in self._payments(window):
            yield await self._events(ids - seen, window)
            seen |= ids
        yield await self._events(await self._disputed(window.since - MARGIN), window)

    async def _payments(self, window: Window) -> AsyncIterator[set[str]]:
        """Yield the ids of the payments to which something happened in the window, page by page."""
        wide = Window(window.since - MARGIN, window.until + MARGIN)
        request = {"limit": PAGE_PAYMENTS, "from": iso(wide.since - PAYMENT_AGE), "to": iso(wide.until)}
        members, pages = await self._search(request), Pages(_ABOUT_PAYMENTS)
        while True:
            yield {_id(payment) for payment in _items(members) if _is_touched(payment, wide)}
            address = get_path(members.get("_links"), "next", "href")
            if address is None or address == "":
                return
            members = await self._next(read_address(address, _ABOUT_PAYMENTS), pages)

    async def _search(self, request: Mapping[str, object]) -> Mapping[str, object]:
        answer = await self.client.post(_SEARCH, None, json=request, form=None, **self._headers())
        return _members(answer.body, _ABOUT_PAYMENTS)

    async def _next(self, address: URL, pages: Pages) -> Mapping[str, object]:
        """Return the next page of a search. Its address names a host that may be another one: only its path counts."""
        search = _NEXT.fullmatch(address.raw_path)
        if search is None:
            raise ApiUnexpectedError(f"{_ABOUT_PAYMENTS}: the address of the next page is not one of a search")
        pages.next(address.raw_path_qs)
        answer = await self.client.get(search[0], dict(address.query), **self._headers())
        return _members(answer.body, _ABOUT_PAYMENTS)

    async def _disputed(self, since: datetime) -> set[str]:
        """Return the ids of the disputes that changed since a time."""
        found = set[str]()
        for _ in range(DISPUTES_READ_MAX):
            before, skip, read, pages = len(found), 0, set[str](), Pages("Checkout.com's list of disputes")
            while not (page := {_id(item) for item in await self._disputes(skip, PAGE_DISPUTES, since)}) <= read:
                read |= page
                skip += PAGE_DISPUTES
                pages.next(str(skip))
            found |= read
            if len(found) == before or skip <= PAGE_DISPUTES:
                return found
        raise ApiUnexpectedError("Checkout.com's disputes change faster than they can be read")

    async def _disputes(self, skip: int, limit: int, since: datetime) -> Sequence[Mapping[str, object]]:
        """Return a page of the disputes that changed since a time, what changed last first."""
        query = {"from": iso(since), "to": iso(datetime.now(UTC)), "limit": str(limit), "skip": str(skip)}
        answer = await self.client.get("/disputes", query, **self._headers())
        return _items(_members(answer.body, "Checkout.com's disputes"))

    async def _events(self, subjects: Iterable[str], window: Window) -> list[Listed]:
        """Return the events of payments or disputes that are in the window, and of a type that is compared."""
        found = list[Listed]()
        for subject in sorted(subjects):
            for event in await self._subject(subject):
                at = first_timestamp(event.get("timestamp"))
                if self._is_compared(event.get("type")) and (at is None or at in window):
                    found += await self._event(event)
        return within(window, found)

    async def _event(self, about: Mapping[str, object]) -> list[Listed]:
        """Return an event whole. One that is listed, and is not there, ends nothing: it is marked."""
        try:
            answer = await self.client.get(f"/workflows/events/{segment(_id(about))}", None, **self._headers())
        except NotFoundError as error:
            return [unreadable(json.dumps(about).encode(), str(error))]
        return listed_events([answer.body], parse_event)

    async def _subject(self, id_: str) -> Sequence[Mapping[str, object]]:
        """Return what is said of each event of a payment or dispute; nothing where no workflow has any."""
        try:
            answer = await self.client.get(f"/workflows/events/subject/{segment(id_)}", None, **self._headers())
        except NotFoundError:
            return []
        return _items(_members(answer.body, _ABOUT))

    def _is_compared(self, type_: object) -> bool:
        patterns = self.access.reconcile_types
        if patterns is None:
            return type_ in TYPES
        return isinstance(type_, str) and any(fnmatchcase(type_, pattern) for pattern in patterns)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self.access.bearer()}


def _members(body: bytes, about: str) -> Mapping[str, object]:
    return read_object(body, about) if body.strip() else {}


def _items(members: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the objects of an answer's `data`. Raise ApiUnexpectedError."""
    items = members.get("data")
    if items is None and not members.keys() - _EMPTY:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ApiUnexpectedError("Checkout.com's answer has no list of objects")
    return items


def _id(item: Mapping[str, object]) -> str:
    id_ = item.get("id")
    if not isinstance(id_, str) or not id_:
        raise ApiUnexpectedError("an object of Checkout.com's has no id")
    return id_


def _is_touched(payment: Mapping[str, object], window: Window) -> bool:
    """Return whether the payment was requested in the window, or something happened to it, as far as is said."""
    actions = payment.get("actions", "unknown")
    if actions is None:
        actions = []
    if not isinstance(actions, list):
        return True
    times = [first_timestamp(payment.get("requested_on")), *(_processed_on(action) for action in actions)]
    return any(at is None or at in window for at in times)


def _processed_on(action: object) -> datetime | None:
    at = get_path(action, "processed_on")
    return first_timestamp(at.replace("ZZ", "Z") if isinstance(at, str) else at)
