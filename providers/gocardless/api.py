"""GoCardless' list of events (`GET /events`), and its payments and refunds, of which its events say no amount.

Source: developer.gocardless.com/api-reference, "Events", "Payments", "Refunds" and "Errors"; gocardless-pro.

* An item is the same object as in a webhook, with the same id.
* The newest come first, and there is no other order. What is new comes before the first page, so that the cursors lead
  through all that was there. Without `after` in the cursors a page is the last one; a short page need not be.
* "Event creation is an asynchronous process": an event may be listed some time after it happened.
* Each request needs the version header. A single object is under its plural name. The end of the limit's minute is a
  date in RateLimit-Reset.
* An access token that may only read is enough.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from contract.event import Event, Mode
from providers.api import (
    Api,
    ApiUnexpectedError,
    Confirmation,
    EventList,
    Fetched,
    Limits,
    Listed,
    NotFoundError,
    Window,
    segment,
)
from providers.api_access import ApiAccess, KeyAccess, refuse_other_mode
from providers.api_pages import Pages, as_documented, iso, listed_events, read_cursor, read_object, read_page, within
from providers.gocardless.facts import TYPES, is_confirmed
from providers.gocardless.models import Event as AnyEvent
from providers.gocardless.webhook import parse_event
from providers.payload import first_id, get_path, read_json
from providers.secret import Secret

VERSION = "2015-07-06"

PAGE_EVENTS = 500
"""The most that GoCardless allows."""

MARGIN = timedelta(seconds=1)
"""How much more than the window is asked for: fractions of a second may be cut."""

_ABOUT = "GoCardless' list of events"

_MODES: Mapping[str, Mode] = {"live_": "live", "sandbox_": "test"}

_NEEDS_HISTORY = frozenset({"payments.failed"})


class GoCardlessAccess(KeyAccess):
    """The access of a GoCardless account: an access token, as its dashboard makes them."""

    @field_validator("api_key")
    @classmethod
    def _is_a_token_of_the_mode(cls, key: Secret, info: ValidationInfo) -> Secret:
        """A token that an app of a partner was given may have no prefix."""
        modes = [mode for prefix, mode in _MODES.items() if key.reveal().startswith(prefix)]
        refuse_other_mode(modes[0] if modes else None, info)
        return key


class GoCardlessApi(Api, EventList, Confirmation):
    """The events of a GoCardless account, and the objects they are about."""

    name: ClassVar[str] = "gocardless"
    Access: ClassVar[type[ApiAccess]] = GoCardlessAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://api.gocardless.com",
        "test": "https://api-sandbox.gocardless.com",
    }
    limits: ClassVar[Limits | None] = Limits(requests_per_s_max=10.0)
    """GoCardless allows 1000 requests a minute."""

    reach: ClassVar[timedelta] = timedelta(days=540)
    """GoCardless keeps 18 months."""

    lag: ClassVar[timedelta] = timedelta(minutes=5)

    access: GoCardlessAccess

    async def check(self) -> str:
        """Read one event, and whose account it is."""
        events = await self._get("/events", {"limit": "1"})
        read_page(events, "events", _ABOUT)
        creditors, _ = read_page(await self._get("/creditors", {"limit": "1"}), "creditors", "GoCardless' creditors")
        if not creditors:
            return "an account without a creditor"
        creditor = read_object(creditors[0], "GoCardless' creditor")
        return f"creditor {first_id(creditor.get('name'), creditor.get('id')) or 'without a name'}"

    async def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events of a window, the newest first."""
        query = {
            "created_at[gte]": iso(window.since - MARGIN),
            "created_at[lt]": iso(window.until + MARGIN),
            "limit": str(PAGE_EVENTS),
        }
        pages = Pages(_ABOUT)
        while True:
            items, rest = read_page(await self._get("/events", query), "events", _ABOUT)
            yield within(window, listed_events(items, parse_event))
            cursors = get_path(rest, "meta", "cursors")
            if not isinstance(cursors, dict):
                raise ApiUnexpectedError(f"{_ABOUT}: it does not say whether and where there is a next page")
            after = read_cursor(cursors, "after", about=_ABOUT)
            if after is None:
                return
            query["after"] = pages.next(after)

    def must_ask(self, event: Event) -> bool:
        """Return whether the event is about money: it names no amount."""
        return event.type in TYPES and not is_confirmed(event)

    async def fetch(self, event: Event) -> Fetched:
        """Return the event with its payment or refund, and with the history of a payment that failed."""
        if event.type not in TYPES:
            raise NotFoundError("the event is about no payment and no refund")
        plural = event.type.partition(".")[0]
        singular = plural.removesuffix("s")
        with as_documented("GoCardless' event"):
            id_ = first_id(get_path(read_json(AnyEvent, event.body).links, singular))
        if id_ is None:
            raise NotFoundError(f"the event names no {singular}")
        answer = await self._get(f"/{plural}/{segment(id_)}")
        found = first_id(get_path(read_object(answer, "GoCardless' object"), plural, "id"))
        if found != id_:
            raise ApiUnexpectedError("GoCardless answered with another object than the one it was asked for")
        parts = [b'{"event":' + event.body, f'"{singular}":'.encode() + answer]
        if event.type in _NEEDS_HISTORY:
            history = await self._get("/events", {"payment": id_, "limit": str(PAGE_EVENTS)})
            read_page(history, "events", _ABOUT)
            parts.append(b'"history":' + history)
        return Fetched(b",".join(parts) + b"}", event.type)

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        headers = {"Authorization": self.access.bearer(), "GoCardless-Version": VERSION}
        return (await self.client.get(path, query, **headers)).body
