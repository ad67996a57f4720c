"""Every list of events: complete, with the identity that a delivery has, and never further than its own host."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from providers.api import (
    Api,
    ApiRefusedError,
    ApiUnavailableError,
    ApiUnexpectedError,
    to_event,
)
from providers.apis import APIS, AccessError, build_apis
from providers.base import Headers, ParsedEvent, Request
from tests.support.event_lists import HOUR, LISTS, NOON, QUICK, ListCase, asking, ids, listed, many
from tests.support.provider_cases import CASES
from tests.support.stand_ins.stand_in import StandIn, moved, status, text

every_list = pytest.mark.parametrize("case", LISTS.values(), ids=LISTS)


def identity(parsed: ParsedEvent) -> tuple[object, ...]:
    return parsed.event_id, parsed.type, parsed.resource, parsed.occurred_at, parsed.mode, parsed.account


def test_every_api_that_lists_events_is_tried_here() -> None:
    assert set(LISTS) >= {"square", "paddle", "gocardless", "checkout"} & set(APIS)


@every_list
async def test_a_listed_event_is_what_its_delivery_is(case: ListCase) -> None:
    event = case.event(1, NOON)
    request = Request("POST", "/", Headers([]), case.delivered(event), NOON)
    (delivered,) = CASES[case.provider].source().parse(request)
    async with asking(case, event) as (_, api):
        api.access = api.access.model_copy(update={"reconcile_types": ("*",)})
        (found,) = await listed(api)
        assert identity(found.parsed) == identity(delivered)
        published = to_event(api.access, case.provider, found, NOON, "reconcile")
    assert (published.signed, published.origin, published.event_id) == ("api", "reconcile", delivered.event_id)
    assert json.loads(published.body)


@every_list
async def test_a_window_has_its_beginning_and_not_its_end(case: ListCase) -> None:
    at = [NOON - timedelta(milliseconds=1), NOON, HOUR.until - timedelta(milliseconds=1), HOUR.until]
    async with asking(case, *(case.event(number, time) for number, time in enumerate(at))) as (_, api):
        found = await listed(api)
    assert sorted(event.parsed.occurred_at for event in found if event.parsed.occurred_at) == at[1:3]


@every_list
@pytest.mark.parametrize("count", [0, 1, 3, 7, 9])
async def test_every_page_is_read(case: ListCase, count: int) -> None:
    async with asking(case, *many(case, count)) as (server, api):
        server.page = 3
        assert len(ids(await listed(api))) == count
        assert len(server.requests) >= count // 3


@every_list
async def test_what_happens_meanwhile_hides_nothing(case: ListCase) -> None:
    """Each page is followed by events from before, within and after the window."""
    events = many(case, 8, NOON + timedelta(minutes=10))
    late = [
        case.event(100 + number, at)
        for number, at in enumerate(
            [NOON - timedelta(minutes=1), NOON, NOON + timedelta(minutes=10, seconds=3), HOUR.until, HOUR.until]
        )
    ]
    async with asking(case, *events) as (server, api):
        server.page = 3
        server.late.extend(late)
        found = {event.parsed.event_id for event in await listed(api)}
        there = await listed(api)
    assert found >= set(ids(there)) - {case_id(case, event) for event in late}
    assert len(there) == 10


def case_id(case: ListCase, event: dict[str, Any]) -> str:
    request = Request("POST", "/", Headers([]), case.delivered(event), NOON)
    return CASES[case.provider].source().parse(request)[0].event_id


@every_list
async def test_the_providers_own_library_finds_the_same(case: ListCase) -> None:
    async with asking(case, *many(case, 7)) as (server, api):
        server.page = 3
        server.next_host = server.url
        found = ids(await listed(api))
        by_library = await asyncio.to_thread(case.ids_by_library, server.url, HOUR)
    assert found == sorted(by_library)
    assert len(found) == 7


@every_list
async def test_a_wrong_key_is_refused_and_not_shown(case: ListCase) -> None:
    async with asking(case) as (server, api):
        setattr(server, "token" if hasattr(server, "token") else "key", "another")
        for question in (api.check, lambda: listed(api)):
            with pytest.raises(ApiRefusedError) as error:
                await question()
            assert case.key[-12:] not in str(error.value)
            assert case.key[-12:] not in repr(api.access)


@every_list
def test_a_key_that_cannot_be_right_is_a_mistake_in_the_settings(case: ListCase) -> None:
    for key in case.wrong:
        with pytest.raises(AccessError, match=r"\[shop\] api_key: ") as error:
            build_apis({"shop": {**case.table("http://127.0.0.1:1"), "api_key": key}})
        assert key not in str(error.value)


@every_list
async def test_a_check_reads_and_changes_nothing(case: ListCase) -> None:
    async with asking(case, *many(case, 2)) as (server, api):
        said = await api.check()
    assert said.isprintable()
    assert case.key not in said
    assert {request.method for request in server.requests} <= {"GET", "POST"}
    assert all(request.method == "GET" or request.path in ("/v2/events", "/payments/search")
               for request in server.requests)  # fmt: skip


@every_list
async def test_limits_and_outages_are_waited_for(case: ListCase) -> None:
    async with asking(case, *many(case, 4)) as (server, api):
        server.page = 3
        server.mishaps.extend([status(429, Retry_After="0"), status(503), None, status(500), None])
        assert len(await listed(api)) == 4
        server.mishaps.extend([status(429)] * QUICK.attempts_max)
        with pytest.raises(ApiUnavailableError):
            await listed(api)


@pytest.mark.parametrize("provider", ["square", "paddle", "gocardless"])
async def test_an_event_that_cannot_be_read_is_marked_and_hides_no_other(provider: str) -> None:
    case = LISTS[provider]
    events = [case.event(number, NOON + timedelta(minutes=number)) for number in range(3)]
    name = next(name for name in ("type", "event_type", "resource_type") if name in events[1])
    async with asking(case, *events) as (_, api):
        readable = {each.parsed.event_id for each in await listed(api)}
        api.access = api.access.model_copy(update={"reconcile_types": ("*",)})
        events[1][name] = {}
        found = await listed(api)
    (broken,) = [each for each in found if each.unreadable]
    assert {each.parsed.event_id for each in found} == readable
    assert (broken.parsed.type, broken.parsed.occurred_at) == ("", None)


@every_list
async def test_what_is_not_documented_is_no_list(case: ListCase) -> None:
    async with asking(case) as (server, api):
        for answer in case.answers_that_are_not_documented:
            server.mishaps.append(text(answer))
            with pytest.raises(ApiUnexpectedError):
                await listed(api)
            server.mishaps.clear()
        server.mishaps.append(moved("http://127.0.0.1:1/"))
        with pytest.raises(ApiUnexpectedError):
            await listed(api)


@every_list
async def test_a_list_that_leads_in_a_circle_ends(case: ListCase) -> None:
    async with asking(case, *many(case, 5)) as (server, api):
        server.page = 2
        server.mishaps.extend([text(await first_page(server, api))] * 50)
        with pytest.raises(ApiUnexpectedError, match="leads back to a page"):
            await listed(api)
        assert len(server.requests) < 20


async def first_page(server: StandIn, api: Api) -> bytes:
    """Return the bytes of the first page that is asked for."""
    bodies: list[bytes] = []
    get, post = api.client.get, api.client.post

    async def keep(ask: Any, *args: Any, **more: Any) -> Any:
        answer = await ask(*args, **more)
        bodies.append(answer.body)
        return answer

    api.client.get = lambda *args, **more: keep(get, *args, **more)  # type: ignore[method-assign]
    api.client.post = lambda *args, **more: keep(post, *args, **more)  # type: ignore[method-assign]
    await listed(api)
    api.client.get, api.client.post = get, post  # type: ignore[method-assign]
    server.requests.clear()
    return bodies[0]


@every_list
def test_only_the_providers_own_hosts_are_asked(case: ListCase) -> None:
    table = case.table("http://127.0.0.1:1")
    del table["api_url"]
    api = build_apis({"shop": table})["shop"]
    host = api.base_url.removeprefix("https://")
    assert host.endswith(APIS[case.provider].base_urls["test"].removeprefix("https://"))
    with pytest.raises(AccessError):
        build_apis({"shop": {**table, "api_url": "https://evil.example"}})


def test_an_account_of_checkout_has_a_host_of_its_own() -> None:
    table = LISTS["checkout"].table("http://127.0.0.1:1")
    del table["api_url"]
    assert build_apis({"shop": table})["shop"].base_url == "https://vkuhvk4v.api.sandbox.checkout.com"
    for subdomain in ("evil.example/", "a.b", "", "A", "a" * 33, "pl-", "a\n", "-a", "a@b"):
        with pytest.raises(AccessError, match="api_subdomain"):
            build_apis({"shop": {**table, "api_subdomain": subdomain}})
