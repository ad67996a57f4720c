"""What a person may not do is refused by the server, whatever page or site sends it."""

import re

import pytest
from aiohttp import web
from playwright.async_api import Page, Route, expect

from operations.console.pages import PAGES
from tests.support.browser import Visitor
from tests.support.console import Client
from tests.support.shop import Shop

MONEY_ONLY = {"/conflicts/{id}/resolve", "/conflicts/release"}
"""What an operator may not do."""

FOR_EVERYBODY = {"/operations/check"}
"""What changes nothing."""

ACTS = {
    route.path
    for routes in PAGES
    for route in routes
    if isinstance(route, web.RouteDef) and route.method == "POST" and route.path not in FOR_EVERYBODY
}

ACTS_DONE = "SELECT id, action FROM operations ORDER BY id"

OTHERS = ("http://evil.example", "http://127.0.0.1:9")
"""The second is of the same site as the console, so that its requests have the console's cookie."""


async def statuses(client: Client, paths: set[str]) -> dict[str, int]:
    form = {"reason": "because I can", "keep": "booked", "source": "adyen", "query": "status:dead", "count": "1"}
    return {path: (await client.post(re.sub(r"\{[^}]*\}", "1", path), form)).status for path in sorted(paths)}


async def test_the_server_refuses_what_a_role_may_not_do(shop: Shop) -> None:
    before = await shop.workers.rows(ACTS_DONE)
    assert await statuses(shop.console.viewer, ACTS) == dict.fromkeys(ACTS, 403)
    assert await statuses(shop.console.operator, ACTS & MONEY_ONLY) == dict.fromkeys(ACTS & MONEY_ONLY, 403)
    assert await statuses(shop.console.stranger, ACTS) == dict.fromkeys(ACTS, 401)
    assert await shop.workers.rows(ACTS_DONE) == before


@pytest.mark.parametrize("evil", OTHERS)
async def test_a_page_of_another_origin_cannot_act(own_shop: Shop, own_visitor: Visitor, evil: str) -> None:
    page = await own_visitor.window(own_shop.console.money)
    for path in sorted({*ACTS, "/sign-out"}):
        await post_from_another_origin(page, evil, own_shop.console.url + re.sub(r"\{[^}]*\}", "1", path))
        await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Not allowed|Not signed in"))
    assert await own_shop.workers.rows(ACTS_DONE) == []
    await own_visitor.open(page, "/")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    noted = [each for each in own_visitor.found if evil not in each and "status of 40" not in each]
    assert noted == []
    own_visitor.found.clear()  # the browser notes the other origin, and that its requests were refused


async def post_from_another_origin(page: Page, evil: str, address: str) -> None:
    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=f'<form method="post" action="{address}"><button>Win</form>')

    await page.route(f"{evil}/", answer)
    await page.goto(f"{evil}/")
    await page.get_by_role("button", name="Win").click()
