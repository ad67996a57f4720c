"""The APIs that list events: for each, its stand-in, and the same question asked by the provider's own library."""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import gocardless_pro
import httpx
from checkout_sdk.checkout_sdk import CheckoutSdk
from checkout_sdk.default_http_client import DefaultHttpClientBuilder
from checkout_sdk.environment import Environment
from checkout_sdk.payments.payments import PaymentsSearchRequest
from paddle_billing import Client, Options
from paddle_billing.Entities.DateTime import DateTime
from paddle_billing.Resources.Events.Operations import ListEvents
from paddle_billing.Resources.Shared.Operations import Pager
from paddle_billing.Resources.Shared.Operations.List.OrderBy import OrderBy
from square import Square

from providers.api import EventList, Limits, Listed, Window
from providers.apis import build_apis
from tests.support.stand_ins import checkout, gocardless, paddle, square
from tests.support.stand_ins.stand_in import StandIn

QUICK = Limits(timeout_s=5, attempts_max=3, requests_per_s_max=10_000)
NOON = datetime(2026, 9, 17, 12, tzinfo=UTC)
HOUR = Window(NOON, NOON + timedelta(hours=1))


def text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ListCase(ABC):
    """One provider. Of its stand-in `events`, `late`, `page` and `mishaps` are used."""

    provider: ClassVar[str]
    key: ClassVar[str]
    wrong: ClassVar[tuple[str, ...]] = ()
    """Keys that are refused before anything is asked: of the other mode, or none at all."""

    settings: ClassVar[dict[str, str]] = {}
    answers_that_are_not_documented: ClassVar[tuple[bytes, ...]] = (b"", b"[]", b"<html>", b'{"data": 1, "events": 1}')

    @abstractmethod
    def stand_in(self) -> StandIn:
        """Return a new stand-in."""

    @abstractmethod
    def event(self, number: int, at: datetime) -> dict[str, Any]:
        """Return an event as a webhook has it; those with larger numbers were made later."""

    def add(self, server: Any, event: dict[str, Any]) -> None:
        """Let an event happen."""
        server.events.append(event)

    def delivered(self, event: dict[str, Any]) -> bytes:
        """Return the body of its webhook."""
        return json.dumps(event).encode()

    def table(self, url: str) -> dict[str, object]:
        return {"provider": self.provider, "mode": "test", "api_url": url, "api_key": self.key, **self.settings}

    @abstractmethod
    def ids_by_library(self, url: str, window: Window) -> set[str]:
        """Return the ids of the window's events, asked by the provider's library."""


class SquareList(ListCase):
    provider = "square"
    key = square.TOKEN
    wrong = ("sandbox-sq0idb-abc", "sq0idp-abc", "sq0csp-abc")
    answers_that_are_not_documented = (
        b"", b"[]", b"<html>", b'{"events": 1}', b'{"cursor": 7}', b'{"errors": [{"category": "API_ERROR"}]}',
    )  # fmt: skip

    def stand_in(self) -> StandIn:
        return square.SquareStandIn()

    def event(self, number: int, at: datetime) -> dict[str, Any]:
        payment = {"id": f"pay_{number}", "status": "COMPLETED", "amount_money": {"amount": 1099, "currency": "EUR"}}
        data = {"type": "payment", "id": f"pay_{number}", "object": {"payment": payment}}
        event = {"merchant_id": "LINDENBAUM7Q2", "type": "payment.updated", "event_id": f"e-{number:06}"}
        return {**event, "created_at": text(at), "data": data}

    def ids_by_library(self, url: str, window: Window) -> set[str]:
        with httpx.Client() as http:
            return self._ids(Square(token=self.key, base_url=url, httpx_client=http), window)

    def _ids(self, client: Square, window: Window) -> set[str]:
        ids = set[str]()
        span = {"start_at": text(window.since), "end_at": text(window.until)}
        query: Any = {"filter": {"created_at": span}, "sort": {"field": "DEFAULT", "order": "ASC"}}
        rest: dict[str, Any] = {}
        while True:
            page: Any = client.events.search_events(
                limit=100, query=query, request_options={"max_retries": 0}, **rest
            )  # fmt: skip
            ids |= {event.event_id for event in page.events or []}
            if not page.cursor:
                return ids
            rest = {"cursor": page.cursor}


class PaddleList(ListCase):
    provider = "paddle"
    key = paddle.KEY
    wrong = (paddle.KEY.replace("sdbx", "live"), "pdl_ntfset_01abc", "test_27a64b")
    answers_that_are_not_documented = (
        b"", b"[]", b"<html>", b'{"data": 1}', b'{"data": []}', b'{"data": [{}]}',
        b'{"data": [], "meta": {"pagination": {"has_more": true}}}',
        b'{"data": [], "meta": {"pagination": {"has_more": true, "next": "http://["}}}',
    )  # fmt: skip

    def stand_in(self) -> StandIn:
        return paddle.PaddleStandIn()

    def event(self, number: int, at: datetime) -> dict[str, Any]:
        customer = {"id": f"ctm_{number}", "status": "active", "name": None, "email": "jane@example.org"} | {
            "marketing_consent": False,
            "locale": "en",
            "custom_data": None,
            "import_meta": None,
            "created_at": text(at),
            "updated_at": text(at),
        }
        event = {"event_id": f"evt_{number:026}", "event_type": "customer.created", "occurred_at": text(at)}
        return {**event, "data": customer, "notification_id": f"ntf_{number}"}

    def ids_by_library(self, url: str, window: Window) -> set[str]:
        client = Client(self.key, options=Options(environment=SimpleNamespace(base_url=url)))
        pager = Pager(per_page=200, order_by=OrderBy.id_ascending())
        since, until = DateTime(window.since.isoformat()), DateTime(window.until.isoformat())
        with closing(client.client):
            return {event.event_id for event in client.events.list(ListEvents(pager, start=since, end=until))}


class GoCardlessList(ListCase):
    provider = "gocardless"
    key = gocardless.TOKEN
    wrong = ("live_" + "g" * 40,)
    answers_that_are_not_documented = (
        b"", b"[]", b"<html>", b'{"events": 1}', b'{"events": []}',
        b'{"events": [], "meta": {"cursors": {"after": 7}}}',
    )  # fmt: skip

    def stand_in(self) -> StandIn:
        return gocardless.GoCardlessStandIn()

    def event(self, number: int, at: datetime) -> dict[str, Any]:
        event = {"id": f"EV{number:06}", "created_at": text(at), "resource_type": "payments", "action": "confirmed"}
        details = {"origin": "gocardless", "cause": "payment_confirmed", "description": "…"}
        return {**event, "links": {"payment": f"PM{number}"}, "details": details, "metadata": {}}

    def delivered(self, event: dict[str, Any]) -> bytes:
        return json.dumps({"events": [event], "meta": {"webhook_id": "WB1"}}).encode()

    def ids_by_library(self, url: str, window: Window) -> set[str]:
        client = gocardless_pro.Client(access_token=self.key, base_url=url)
        params = {"created_at[gte]": text(window.since), "created_at[lt]": text(window.until), "limit": 500}
        return {event.id for event in client.events.all(params=params)}


class CheckoutList(ListCase):
    provider = "checkout"
    key = checkout.KEY
    wrong = (checkout.KEY.replace("sbox_", ""), "pk_sbox_abc", "sk_test_0b9b5db6-f223-49d0-b68f-f6643dd4f808", "sk_x")
    settings: ClassVar[dict[str, str]] = {"api_subdomain": "vkuhvk4v"}
    answers_that_are_not_documented = (
        b"[]", b"<html>", b'{"data": 1}', b'{"data": [1]}', b'{"data": [{"actions": 1}]}', b'{"error_type": "x"}',
        b'{"data": [], "_links": {"next": {"href": "https://api.checkout.com/payments/pay_1"}}}',
        b'{"data": [], "_links": {"next": {"href": "http://["}}}', b'{"_links": {"next": {"href": 7}}}',
    )  # fmt: skip

    def stand_in(self) -> StandIn:
        return checkout.CheckoutStandIn()

    def add(self, server: Any, event: dict[str, Any]) -> None:
        server.add(event)

    def event(self, number: int, at: datetime) -> dict[str, Any]:
        data = {"id": f"pay_{number}", "action_id": f"act_{number}", "amount": 1099, "currency": "EUR"}
        links = {"self": {"href": f"https://vkuhvk4v.api.sandbox.checkout.com/workflows/events/evt_{number}"}}
        event = {"id": f"evt_{number}", "type": "payment_captured", "created_on": text(at), "version": "1.0.35"}
        return {**event, "data": data, "_links": links}

    def ids_by_library(self, url: str, window: Window) -> set[str]:
        """Ask as the library does. It has no call for a search's next page, which is read by hand."""
        base = f"{url}/"
        environment = Environment(base, f"{base}connect/token", base, base, base, base, base, True)
        clients = DefaultHttpClientBuilder()
        builder = CheckoutSdk.builder().secret_key(self.key).environment(environment).http_client_builder(clients)
        with closing(clients.session), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of parts that are not used
            return self._ids(builder.use_legacy_domain().build(), url, window)

    def _ids(self, api: Any, url: str, window: Window) -> set[str]:
        search = PaymentsSearchRequest()
        search.limit, search.from_, search.to = 500, window.since, window.until
        page = api.payments.search_payments(search)
        payments = [payment.id for payment in page.data]
        while next_ := getattr(getattr(page, "_links", None), "next", None):
            address = next_.href.replace("https://api.checkout.com", url)
            with urlopen(Request(address, headers={"Authorization": f"Bearer {self.key}"}), timeout=5) as answer:
                page = json.load(answer, object_hook=lambda members: SimpleNamespace(**members))
            payments += [payment.id for payment in page.data]
        events = [event for payment in payments for event in api.workflows.get_subject_events(payment).data]
        return {api.workflows.get_event(event.id).id for event in events}


LISTS = {case.provider: case for case in (SquareList(), PaddleList(), GoCardlessList(), CheckoutList())}


@asynccontextmanager
async def asking(case: ListCase, *events: dict[str, Any]) -> AsyncIterator[tuple[Any, Any]]:
    """Yield the stand-in with these events, and the API that asks it."""
    async with case.stand_in().serving() as server:
        for event in events:
            case.add(server, event)
        api = build_apis({"shop": case.table(server.url)})["shop"]
        await api.open(QUICK)
        try:
            yield server, api
        finally:
            await api.close()


async def listed(api: Any, window: Window = HOUR) -> list[Listed]:
    assert isinstance(api, EventList)
    return [event async for page in api.list_events(window) for event in page]


def ids(events: list[Listed]) -> list[str]:
    return sorted(event.parsed.event_id for event in events)


def many(case: ListCase, count: int, since: datetime = NOON) -> list[dict[str, Any]]:
    return [case.event(number, since + timedelta(seconds=number)) for number in range(count)]
