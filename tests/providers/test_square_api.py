"""Square's list of events: what is odd about it."""

import json
from datetime import timedelta

from providers.api import to_event
from providers.square.api import PAGE_EVENTS, VERSION, SquareApi
from providers.square.facts import extract_facts
from tests.support.event_lists import HOUR, LISTS, NOON, asking, ids, listed, many

SQUARE = LISTS["square"]


async def test_each_page_is_asked_for_with_the_same_query() -> None:
    async with asking(SQUARE, *many(SQUARE, 7)) as (server, api):
        server.page = 3
        assert len(await listed(api)) == 7
    bodies = [json.loads(request.body) for request in server.requests]
    assert [set(body) for body in bodies] == [{"limit", "query"}, *[{"limit", "query", "cursor"}] * 2]
    assert {json.dumps(body["query"]) for body in bodies} == {json.dumps(bodies[0]["query"])}
    assert bodies[0]["limit"] == PAGE_EVENTS
    assert {request.headers["Square-Version"] for request in server.requests} == {VERSION}


async def test_a_last_page_may_be_empty() -> None:
    async with asking(SQUARE, *many(SQUARE, 6)) as (server, api):
        server.page = 3
        assert len(await listed(api)) == 6
    assert len(server.requests) == 3


async def test_an_empty_list_proves_nothing_and_a_check_says_so() -> None:
    async with asking(SQUARE, *many(SQUARE, 3)) as (server, api):
        assert await api.check() == "merchant LINDENBAUM7Q2"
        server.is_enabled = False
        assert await listed(api) == []
        assert "are events enabled" in await api.check()
    assert not SquareApi.empty_proves


async def test_a_range_is_never_longer_than_square_keeps_events() -> None:
    async with asking(SQUARE) as (server, api):
        await listed(api, type(HOUR)(NOON - SquareApi.reach, NOON))
    span = json.loads(server.requests[0].body)["query"]["filter"]["created_at"]
    assert span["start_at"] > (NOON - timedelta(days=28)).isoformat()


async def test_a_listed_payment_gives_the_facts_of_a_delivered_one() -> None:
    async with asking(SQUARE, SQUARE.event(1, NOON)) as (_, api):
        (found,) = await listed(api)
        facts = extract_facts(to_event(api.access, "square", found, NOON, "reconcile"))
    assert [(fact.kind, fact.amount, fact.object) for fact in facts] == [
        ("authorized", 1099, ""),
        ("captured", 1099, "pay_1"),
    ]
    assert ids([found]) == ["e-000001"]
