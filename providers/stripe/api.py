"""Stripe's API: its two lists of events, and the objects that thin events are about.

* Events are listed newest first, in pages of at most 100, by `created` in whole seconds; `starting_after` is the last
  id of a page (https://docs.stripe.com/api/events/list, https://docs.stripe.com/api/pagination).
* A list takes at most 20 types, so that those that report money need two lists. Which types an endpoint has subscribed
  to is not asked.
* Both lists keep 30 days. The newest seconds may lack events that appear later with an earlier time.
* An event is listed in the version of the API that its account had at the time, and delivered in that of its endpoint:
  the two may be written differently, and say the same about money.
* `delivery_success` says whether some endpoint did not accept an event, which may be another one, so it is not asked.
* Thin events have a list of their own, whose next page is an address (https://docs.stripe.com/api/v2/core/events/list).
* No Retry-After is documented for 429, so the client waits by itself.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from contract.event import Event, Mode
from providers.account import mode_of_flag
from providers.api import (
    Api,
    ApiRefusedError,
    ApiUnexpectedError,
    Confirmation,
    EventList,
    Fetched,
    Listed,
    NotFoundError,
    Window,
)
from providers.api_access import ApiAccess
from providers.api_pages import Pages, as_documented, iso, listed, read_cursor, read_page
from providers.base import ParsedEvent
from providers.models import Id, Model
from providers.payload import EPOCH, read_json
from providers.stripe import thin
from providers.stripe.facts import TYPES
from providers.stripe.identity import parse_event
from providers.stripe.settings import StripeAccess

if TYPE_CHECKING:
    from providers.api_client import Answer

VERSION = "2026-10-28.endive"
"""The version of the API in which objects are fetched. Listed events have the version of their account."""

PAGE = 100
TYPES_PER_LIST = 20

SNAPSHOTS, THIN = "/v1/events", "/v2/core/events"

_CONTEXT = re.compile("[A-Za-z0-9_/]{1,255}")
_PATTERN = re.compile(r"[*?\[]")
_READ_TO_CONFIRM = ("/v1/payment_intents", "/v1/charges", "/v1/refunds", "/v1/disputes")


class AccountObject(Model):
    """The account that owns the key."""

    id: Id


class StripeApi(Api, EventList, Confirmation):
    """The events and objects of one account."""

    name: ClassVar[str] = "stripe"
    Access: ClassVar[type[ApiAccess]] = StripeAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {"live": "https://api.stripe.com", "test": "https://api.stripe.com"}
    reach: ClassVar[timedelta] = timedelta(days=30)
    access: StripeAccess

    def __init__(self, access: ApiAccess) -> None:
        super().__init__(access)
        # An endpoint of Connect gets the events of all connected accounts, and one of them is listed.
        self.is_exhaustive = self.access.account is None

    async def check(self) -> str:
        """Read one event, and one object of each kind that is fetched to confirm. Return the account and the mode."""
        mode = self.access.mode
        items = await self._items(THIN if self.access.events == "thin" else SNAPSHOTS, {"limit": "1"})
        for item in items:
            if parse_listed(item).mode not in (None, mode):
                raise ApiUnexpectedError(f"the key lists events of another mode than {mode}")
        if self.access.confirm == "api":
            for path in _READ_TO_CONFIRM:
                await self._items(path, {"limit": "1"})
        return f"Stripe account {await self._account()}, {mode} mode"

    async def _account(self) -> str:
        """Return the account's id. A restricted key may not be allowed to read it."""
        if self.access.account:
            return self.access.account
        try:
            answer = await self._get("/v1/account")
        except (ApiRefusedError, NotFoundError):
            return "of the key"
        with as_documented("the account"):
            return read_json(AccountObject, answer.body).id

    async def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events of the types that are compared, page by page, the newest of each list first."""
        is_thin = self.access.events == "thin"
        for types in self._filters(thin.MONEY_TYPES if is_thin else TYPES):
            async for items in self._thin(window, types) if is_thin else self._all(window, types):
                yield [listed(item, self._listed) for item in items]

    def _filters(self, money_types: Collection[str]) -> Iterator[Mapping[str, str]]:
        """Yield the types that each list is asked for. Where a source names patterns, one list has all types."""
        chosen = self.access.reconcile_types
        if chosen and any(_PATTERN.search(type_) for type_ in chosen):
            yield {}
            return
        types = sorted(chosen or money_types)
        for first in range(0, len(types), TYPES_PER_LIST):
            yield {f"types[{number}]": type_ for number, type_ in enumerate(types[first : first + TYPES_PER_LIST])}

    async def _all(self, window: Window, types: Mapping[str, str]) -> AsyncIterator[list[bytes]]:
        """Yield the pages of snapshot events: each begins after the last event of the one before."""
        since_s, until_s = _seconds(window.since), _seconds(window.until)
        if since_s == until_s:
            return
        query = {"limit": str(PAGE), "created[gte]": str(since_s), "created[lt]": str(until_s), **types}
        pages = Pages("the list of events")
        while True:
            answer = await self._get(SNAPSHOTS, query)
            items, members = read_page(answer.body, "data", "a page of events")
            yield items
            has_more = members.get("has_more")
            if has_more is False:
                return
            if has_more is not True or not items:
                raise ApiUnexpectedError("a page of events does not say whether and where there is a next one")
            query = {**query, "starting_after": pages.next(listed(items[-1], self._listed).parsed.event_id)}

    async def _thin(self, window: Window, types: Mapping[str, str]) -> AsyncIterator[list[bytes]]:
        """Yield the pages of thin events: each names the address of the next."""
        query = {"limit": str(PAGE), "created[gte]": iso(window.since), "created[lt]": iso(window.until), **types}
        answer = await self._get(THIN, query)
        pages = Pages("the list of thin events")
        while True:
            items, members = read_page(answer.body, "data", "a page of thin events")
            yield items
            address = read_cursor(members, "next_page_url", about="a page of thin events")
            if address is None and "next_page_url" in members:
                return
            if address is None or not address.startswith(f"{THIN}?"):
                raise ApiUnexpectedError("a page of thin events names a next page that is not one of their list")
            answer = await self.client.follow(pages.next(address), **self._headers())

    def _listed(self, item: bytes) -> Listed:
        """Return an event as a delivery of it is parsed. What an account lists of its own need not name it."""
        parsed = parse_listed(item)
        parsed.account = parsed.account or self.access.account or ""
        return Listed(parsed, item)

    def must_ask(self, event: Event) -> bool:
        """Return whether it is a thin event about money. A snapshot is signed with all that it says."""
        return event.type in thin.MONEY_TYPES

    async def fetch(self, event: Event) -> Fetched:
        """Return the object of a thin event as it is now, as the snapshot event that reports this state."""
        with as_documented("a thin event"):
            related = thin.related_object(event)
        if related is None:
            raise NotFoundError("the event names no object")
        query = {"expand[]": "refunds"} if related.kind == "charge" else None
        answer = await self._get(related.path, query, context=event.account)
        found = thin.read_object(answer.body, related, event)
        if mode_of_flag(found.livemode) not in (None, self.access.mode):
            raise ApiUnexpectedError(f"the {related.kind} {related.id} is of another mode than {self.access.mode}")
        type_ = thin.reporting_type(found)
        return Fetched(thin.snapshot(event, type_, answer.body), type_)

    async def _items(self, path: str, query: Mapping[str, str]) -> list[bytes]:
        answer = await self._get(path, query)
        return read_page(answer.body, "data", path)[0]

    async def _get(self, path: str, query: Mapping[str, str] | None = None, context: str = "") -> "Answer":
        return await self.client.get(path, query, **self._headers(context))

    def _headers(self, context: str = "") -> dict[str, str]:
        """Return the headers of a request. `context`: the account that a thin event names.

        Stripe-Context "supersedes the Stripe-Account header", and is the one that API v2 and the keys of organizations
        take (https://docs.stripe.com/context, https://docs.stripe.com/keys/organization-api-keys).
        """
        headers = {"Authorization": self.access.bearer(), "Stripe-Version": VERSION}
        if context and not _CONTEXT.fullmatch(context):
            raise ApiUnexpectedError("the event's context cannot be an account")
        if account := context or self.access.account:
            headers["Stripe-Context"] = account
        return headers


def parse_listed(item: bytes) -> ParsedEvent:
    """Return an item of a list as a delivery of it is parsed. Raise ApiUnexpectedError."""
    with as_documented("a listed event"):
        return parse_event(item)


def _seconds(time: datetime) -> int:
    """Return the first whole second that is not before the time: `created` is in whole seconds."""
    return -((EPOCH - time) // timedelta(seconds=1))
