"""A provider that exists in tests only: its API lists events, or payments, as they are put into it, page by page."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from aiohttp import web

from contract.event import Event
from providers.api import Api, EventList, Limits, Listed, PaymentList, Window
from providers.api_access import KeyAccess
from providers.api_pages import listed
from providers.base import ParsedEvent, PayloadError
from providers.secret import Secret
from tests.support.stand_ins.stand_in import StandIn

API_KEY = "sk_test_of_the_tests"


@dataclass(slots=True)
class Entry:
    """An event of the list, with further names under which it may have been delivered. `unreadable`: it has no type."""

    event: Event
    aliases: tuple[str, ...] = ()
    unreadable: bool = False


class Listing(StandIn):
    """Lists events by their time, a page at a time. `on_page` is called with the number of each page before it is read.

    A page begins after the last event of the one before, so that none is left out where others are added meanwhile.
    """

    def __init__(self, events: Sequence[Event] = (), page_max: int = 100) -> None:
        super().__init__()
        self.entries = [Entry(event) for event in events]
        self.page_max = page_max
        self.pages = 0
        self.on_page: Callable[[int], None] = lambda _: None
        self.app.router.add_get("/events", self._list)

    def add(self, *events: Event) -> None:
        self.entries += [Entry(event) for event in events]

    async def _list(self, request: web.Request) -> web.Response:
        self.on_page(self.pages)
        self.pages += 1
        since, until = (datetime.fromisoformat(request.query[name]) for name in ("since", "until"))
        places = {entry.event.event_id: place for place, entry in enumerate(self.entries)}
        start = places.get(request.query.get("after", ""), -1) + 1
        page, more = list[dict[str, Any]](), False
        for entry in self.entries[start:]:
            time = entry.event.occurred_at
            if time is not None and not since <= time < until:
                continue
            if len(page) == self.page_max:
                more = True
                break
            page.append(_item(entry))
        return web.json_response({"data": page, "more": more})

    def refusal(self, request: web.Request) -> web.Response | None:
        """Refuse any key but ours."""
        right = request.headers.get("Authorization") == f"Bearer {API_KEY}"
        return None if right else web.json_response({"error": "no"}, status=401)


def _item(entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "id": event.event_id,
        "type": event.type if not entry.unreadable else 7,
        "resource": event.resource,
        "time": event.occurred_at.isoformat() if event.occurred_at else None,
        "mode": event.mode,
        "account": event.account,
        "headers": dict(event.headers),
        "body": base64.b64encode(event.body).decode(),
        "aliases": entry.aliases,
    }


class _ListingApi(Api):
    name = "stripe"
    base_urls: ClassVar = {"live": "https://api.provider.example", "test": "https://api.provider.example"}
    reach = timedelta(days=30)
    lag = timedelta(0)
    limits = Limits(timeout_s=5, attempts_max=2, requests_per_s_max=100_000)

    async def check(self) -> str:
        return "an account"

    async def pages(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        query, more = {"since": window.since.isoformat(), "until": window.until.isoformat()}, True
        while more:
            answer = await self.client.get("/events", query, Authorization=self._bearer())
            document = json.loads(answer.body)
            page = [listed(json.dumps(item).encode(), _listed) for item in document["data"]]
            more = document["more"]
            if page:
                query["after"] = page[-1].parsed.event_id
            yield page

    def _bearer(self) -> str:
        assert isinstance(self.access, KeyAccess)
        return f"Bearer {self.access.api_key.reveal()}"


class EventsApi(_ListingApi, EventList):
    """Lists events."""

    def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        return self.pages(window)


class OtherIdsApi(EventsApi):
    """Lists events under other ids than they are delivered with."""

    ids_differ = True


class SilentApi(EventsApi):
    """Lists nothing where it does not know, which proves nothing."""

    empty_proves = False


class PaymentsApi(_ListingApi, PaymentList):
    """Lists payments."""

    def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        return self.pages(window)


def _listed(text: bytes) -> Listed:
    item = json.loads(text)
    if not isinstance(item["type"], str):
        raise PayloadError("type: not a text")
    parsed = ParsedEvent(
        event_id=item["id"], type=item["type"], resource=item["resource"],
        occurred_at=datetime.fromisoformat(item["time"]) if item["time"] else None,
        headers=item["headers"], mode=item["mode"], account=item["account"],
    )  # fmt: skip
    return Listed(parsed, base64.b64decode(item["body"]), tuple(item["aliases"]))


def api_of(
    kind: type[Api], url: str, *, source: str = "stripe", provider: str = "stripe", key: str = API_KEY, **settings: Any
) -> Api:
    """Return an API of this kind that asks the stand-in at `url` for a source."""
    named: type[Api] = type(kind.__name__, (kind,), {"name": provider}) if provider != kind.name else kind
    values = {"source": source, "namespace": source, "api_url": url, "api_key": Secret(key)}
    return named(KeyAccess.model_validate(values | settings))


def at(event: Event, time: datetime) -> Event:
    """Return the event as if it had happened at another time."""
    return replace(event, occurred_at=time)
