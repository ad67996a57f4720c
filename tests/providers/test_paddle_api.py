"""Paddle's list of events: what is odd about it."""

import pytest

from providers.api import ApiUnexpectedError
from providers.apis import build_apis
from tests.support.event_lists import HOUR, LISTS, NOON, asking, listed, many
from tests.support.stand_ins.paddle import KEY
from tests.support.stand_ins.stand_in import text

PADDLE = LISTS["paddle"]


async def test_pages_are_asked_for_in_the_order_of_making_and_from_its_own_host() -> None:
    """The addresses of next pages name another host, without TLS."""
    async with asking(PADDLE, *many(PADDLE, 7)) as (server, api):
        server.page = 3
        assert len(await listed(api)) == 7
    first, *others = [request.query for request in server.requests]
    assert first["order_by"] == "id[ASC]"
    assert [query["after"] for query in others] == [f"evt_{number:026}" for number in (2, 5)]
    assert [{**query, "after": ""} for query in others] == [{**first, "after": ""}] * 2
    assert {request.headers["Skip-Count"] for request in server.requests} == {"true"}


async def test_an_api_that_does_not_know_times_gives_no_event_of_another_time() -> None:
    before, after = PADDLE.event(0, NOON.replace(hour=8)), PADDLE.event(9, HOUR.until)
    async with asking(PADDLE, before, *many(PADDLE, 5)[1:], after) as (server, api):
        server.knows_times = False
        assert len(await listed(api)) == 4


async def test_a_check_says_when_the_key_ends() -> None:
    async with asking(PADDLE) as (server, api):
        assert "ends at 2027-02-24" in await api.check()
        server.key_expires_at = None
        assert "does not end" in await api.check()


async def test_a_key_that_may_not_read_itself_is_no_mistake() -> None:
    async with asking(PADDLE) as (server, api):
        server.key = "0a1b2c" * 8 + "zz"  # a key from before May 2025
        old = build_apis({"shop": {**PADDLE.table(server.url), "api_key": server.key}})["shop"]
        async with old:
            assert await old.check() == "events can be read"
        server.key = KEY.replace("Linden", "linden")
        server.mishaps.append(text(b'{"data": [], "meta": {}}'))
        assert await api.check() == "events can be read"


async def test_a_page_that_does_not_say_whether_it_is_the_last_is_refused() -> None:
    async with asking(PADDLE) as (server, api):
        for pagination in (b"{}", b'{"has_more": "yes"}', b'{"has_more": true, "next": "https://x/events?per_page=1"}'):
            server.mishaps.append(text(b'{"data": [], "meta": {"pagination": ' + pagination + b"}}"))
            with pytest.raises(ApiUnexpectedError, match="next page"):
                await listed(api)
