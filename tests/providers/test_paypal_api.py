"""PayPal's list of events: every page of it, whatever happens meanwhile, and each event as a delivery names it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.api import ApiRefusedError, ApiUnexpectedError, Limits, Listed, Window, to_event
from providers.apis import build_apis
from providers.oauth import ClientAccess
from providers.paypal.api import PayPalApi
from providers.paypal.facts import extract_facts
from tests.support.cases.base import NOW
from tests.support.recorded import Recording, recordings
from tests.support.stand_ins.paypal import APP, CLIENT_ID, CLIENT_SECRET, LIST, PayPal
from tests.support.stand_ins.stand_in import status, text

QUICK = Limits(timeout_s=2, attempts_max=4, requests_per_s_max=10_000)
WINDOW = Window(datetime(2026, 9, 17, 10, tzinfo=UTC), datetime(2026, 9, 17, 11, tzinfo=UTC))


@pytest.fixture
async def paypal() -> AsyncIterator[PayPal]:
    async with PayPal().serving() as server:
        yield server


@pytest.fixture
async def api(paypal: PayPal) -> AsyncIterator[PayPalApi]:
    api = PayPalApi(access(paypal))
    await api.open(QUICK)
    yield api
    await api.close()


def access(paypal: PayPal, **changes: str) -> ClientAccess:
    table = {"source": "shop", "namespace": "acme", "mode": "test", "api_url": paypal.url,
             "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}  # fmt: skip
    return ClientAccess.model_validate({**table, **changes})


def fill(paypal: PayPal, count: int) -> list[str]:
    """List this many captures within WINDOW, one a second, and return the ids of their events."""
    for number in range(count):
        add(paypal, number, WINDOW.since + timedelta(seconds=number))
    return [each["id"] for each in paypal.events]


def add(paypal: PayPal, number: int, at: datetime) -> None:
    capture = paypal.has_capture(f"C{number}", "10.00")
    iso = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    paypal.has_event(f"WH-{number}", "PAYMENT.CAPTURE.COMPLETED", capture, iso, "capture")


async def listed(api: PayPalApi, window: Window = WINDOW) -> list[Listed]:
    return [each async for page in api.list_events(window) for each in page]


def lists(paypal: PayPal) -> list[dict[str, Any]]:
    return [dict(each.query) for each in paypal.requests if each.path.rstrip("/") == LIST]


async def test_every_page_is_read_by_links_that_name_another_host(paypal: PayPal, api: PayPalApi) -> None:
    ids = fill(paypal, 250)
    assert sorted(each.parsed.event_id for each in await listed(api)) == sorted(ids)
    assert [each.get("offset") for each in lists(paypal)] == [None, "100", "200"]
    assert {each["page_size"] for each in lists(paypal)} == {"100"}
    assert paypal.tokens_made == 1


async def test_a_list_that_grows_while_it_is_read_lacks_nothing(paypal: PayPal, api: PayPalApi) -> None:
    ids = fill(paypal, 250)
    add(paypal, 9001, WINDOW.until - timedelta(seconds=2))
    add(paypal, 9002, WINDOW.until - timedelta(seconds=1))
    paypal.arriving = [paypal.events.pop(), paypal.events.pop()]
    found = [each.parsed.event_id for each in await listed(api)]
    assert set(ids) <= set(found)
    assert len(found) > len(ids)  # what moved to the next page came twice


async def test_an_event_at_the_border_of_two_windows_is_listed_in_one(paypal: PayPal, api: PayPalApi) -> None:
    for number, seconds in enumerate((0, 0.999, 1.5, 3599.999, 3600)):
        add(paypal, number, WINDOW.since + timedelta(seconds=seconds))
    first, second = Window(WINDOW.since, WINDOW.since + timedelta(seconds=1.5)), WINDOW
    second = replace(second, since=first.until)
    names = [[each.parsed.event_id for each in await listed(api, window)] for window in (first, second)]
    assert set(names[0]) == {"WH-0", "WH-1"}
    assert {"WH-2", "WH-3"} <= set(names[1])
    assert "WH-4" not in names[1]


async def test_an_empty_window_has_one_empty_page(api: PayPalApi) -> None:
    assert [page async for page in api.list_events(WINDOW)] == [[]]


async def test_events_from_too_long_ago_cannot_be_listed_and_it_says_so(paypal: PayPal, api: PayPalApi) -> None:
    paypal.oldest = WINDOW.since + timedelta(minutes=1)
    with pytest.raises(ApiUnexpectedError, match="no events from as long ago as 2026-09-17 10:00"):
        await listed(api)
    paypal.mishaps.append(status(400, {"name": "VALIDATION_ERROR", "details": [{"field": "page_size"}]}))
    with pytest.raises(ApiUnexpectedError, match="answered 400"):
        await listed(api)


@pytest.mark.parametrize(
    "href",
    ["https://api.sandbox.paypal.com/v1/payments/payouts?x=1", "https://api.sandbox.paypal.com" + LIST, "https://[", "",
     "/v1/notifications/webhooks-events/WH-1/resend?x=1", "x" * 5000],
)  # fmt: skip
async def test_a_link_to_something_else_is_not_followed(paypal: PayPal, api: PayPalApi, href: str) -> None:
    page = {"events": [], "links": [{"rel": "next", "href": href}]}
    paypal.mishaps.extend([None, text(json.dumps(page).encode())])
    with pytest.raises(ApiUnexpectedError, match="address of the next page"):
        await listed(api)
    assert len(lists(paypal)) == 1


async def test_a_list_that_leads_in_a_circle_ends_in_an_error(paypal: PayPal, api: PayPalApi) -> None:
    page = text(json.dumps({"events": [], "links": [{"rel": "next", "href": f"{LIST}?a=1&amp;b=2"}]}).encode())
    paypal.mishaps.extend([None, page, page, page])
    with pytest.raises(ApiUnexpectedError, match="leads back to a page"):
        await listed(api)
    assert [each for each in lists(paypal) if "a" in each] == [{"a": "1", "b": "2"}]


async def test_a_link_to_any_host_is_asked_of_our_own_only(paypal: PayPal, api: PayPalApi) -> None:
    paypal.host = "https://evil.example"
    fill(paypal, 101)
    assert len(await listed(api)) == 101
    assert {each.headers["Host"] for each in paypal.requests} == {paypal.url.removeprefix("http://")}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"events":{}}'])
async def test_an_answer_that_is_no_list_of_events_is_refused(paypal: PayPal, api: PayPalApi, body: bytes) -> None:
    paypal.mishaps.extend([None, text(body)])
    with pytest.raises(ApiUnexpectedError):
        await listed(api)


async def test_a_token_that_expires_while_the_list_is_read_is_replaced(paypal: PayPal, api: PayPalApi) -> None:
    fill(paypal, 250)
    found = 0
    async for page in api.list_events(WINDOW):
        found += len(page)
        paypal.tokens.clear()
    assert (found, paypal.tokens_made) == (250, 3)


async def test_too_many_requests_are_made_again_later(paypal: PayPal, api: PayPalApi) -> None:
    fill(paypal, 1)
    limited = status(429, {"name": "RATE_LIMIT_REACHED"}, Retry_After="0")
    paypal.mishaps.extend([None, limited, limited])
    assert len(await listed(api)) == 1


async def test_it_says_which_app_it_is_and_which_credentials_are_refused(paypal: PayPal, api: PayPalApi) -> None:
    assert await api.check() == f"REST app {APP}"
    assert lists(paypal) == [{"page_size": "1"}]
    other = PayPalApi(access(paypal, client_secret="of-the-live-mode"))
    await other.open(QUICK)
    with pytest.raises(ApiRefusedError, match="the test API accepts no client of the other mode") as error:
        await other.check()
    await other.close()
    assert "of-the-live-mode" not in str(error.value)
    paypal.mishaps.extend([status(403, {"name": "NOT_AUTHORIZED"})])
    with pytest.raises(ApiRefusedError, match="403"):
        await api.check()
    api.access = access(paypal, confirm="api")
    assert await api.check() == f"REST app {APP}"
    paypal.mishaps.extend([None, None, status(400), status(422), status(403, {"name": "NOT_AUTHORIZED"})])
    with pytest.raises(ApiRefusedError, match="disputes"):
        await api.check()


def test_the_host_is_that_of_the_mode() -> None:
    table = {"provider": "paypal", "client_id": "a", "client_secret": "b"}
    apis = build_apis({"live": table, "sandbox": {**table, "mode": "test"}, "no-credentials": {"provider": "paypal"}})
    assert {name: each.base_url for name, each in apis.items()} == {
        "live": "https://api-m.paypal.com",
        "sandbox": "https://api-m.sandbox.paypal.com",
    }


RECORDED = recordings("paypal")


@pytest.mark.parametrize("recording", RECORDED, ids=[each.name for each in RECORDED])
async def test_a_listed_event_says_what_its_delivery_says(
    paypal: PayPal, api: PayPalApi, recording: Recording
) -> None:  # fmt: skip
    """Whichever comes first, and whether or not the other one follows: the same facts, so it is booked once."""
    paypal.events.append(recording.content["body"])
    day = datetime.fromisoformat(recording.content["body"]["create_time"])
    (found,) = await listed(api, Window(day, day + timedelta(minutes=1)))
    repaired = to_event(api.access, "paypal", found, NOW, "reconcile")
    delivered = recording.event("acme")
    assert (repaired.event_id, found.aliases) == (recording.content["body"]["id"], ())
    assert repaired.event_id != delivered.event_id
    for name in ("namespace", "type", "resource", "occurred_at", "account"):
        assert getattr(repaired, name) == getattr(delivered, name)
    assert json.loads(repaired.body) == json.loads(delivered.body)
    assert list(extract_facts(repaired)) == list(extract_facts(delivered))
    assert (repaired.signed, repaired.origin) == ("api", "reconcile")


async def test_the_bytes_of_a_listed_event_are_those_of_the_answer(paypal: PayPal, api: PayPalApi) -> None:
    item = b'{"id":"WH-1",  "event_type":"X", "resource":{"id":"C1","amount":{"value":1.10}},"summary":"\xc3\xa9"}'
    paypal.mishaps.extend([None, text(b'{"count":1,"events":[ ' + item + b" ]}")])
    (found,) = await listed(api)
    assert found.body == item
    assert (found.parsed.occurred_at, found.parsed.mode) == (None, "test")
