"""A contradiction is found, decided about, and read about in the log, with JavaScript and without."""

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visitor
from tests.support.shop import Shop
from tests.support.shop_events import adyen, paid

REASON = "Stripe's dashboard says 8.00"


async def read_last_act(page: Page) -> str:
    await page.get_by_role("link", name="Operators' log").first.click()
    return await page.get_by_role("row").nth(1).inner_text()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_a_contradiction_is_decided_by_somebody_with_the_role(
    own_shop: Shop, own_visitor: Visitor, scripts: bool
) -> None:
    await own_shop.send(paid("pi_1", 700, event_id="evt_700"))
    await own_shop.is_done(applied=1)
    await own_shop.send(paid("pi_1", 800, event_id="evt_800"))
    await own_shop.is_done(applied=2)
    page = await own_visitor.window(own_shop.console.money, scripts=scripts)
    await own_visitor.open(page, "/")
    await page.get_by_role("navigation").get_by_role("link", name="Conflicts").click()
    await page.get_by_role("link", name="compare and decide").click()
    right = page.get_by_role("region", name="If the report is right: 8.00 EUR")
    await right.get_by_label("Reason").fill(REASON)
    await right.get_by_role("button", name="Book what was reported").click()
    await expect(page.get_by_role("main")).to_contain_text("Handlers are not called again")
    await page.get_by_role("button", name="Yes, book 8.00 EUR").click()
    await expect(page.get_by_role("status")).to_contain_text("The report is right")
    act = await read_last_act(page)
    for text in ("mona", "console", "resolve", REASON):
        assert text in act
    assert await own_shop.workers.row("SELECT captured FROM payments") == (800,)


async def test_an_operator_sees_a_contradiction_and_cannot_decide(own_shop: Shop, own_visitor: Visitor) -> None:
    await own_shop.send(paid("pi_1", 700, event_id="evt_700"), paid("pi_1", 800, event_id="evt_800"))
    await own_shop.is_done(applied=2)
    page = await own_visitor.window(own_shop.console.operator)
    await own_visitor.open(page, "/conflicts")
    await page.get_by_role("link", name="compare and decide").click()
    await expect(page.get_by_text("Somebody with the role money decides.")).to_be_visible()
    await expect(page.locator("main form")).to_have_count(0)


async def test_money_on_hold_is_shown_with_the_way_to_release_it(own_shop: Shop, own_visitor: Visitor) -> None:
    await own_shop.send(adyen("8815131751004933", 4990, 1))
    await own_shop.is_done(applied=1)
    page = await own_visitor.window(own_shop.console.money, scripts=False)
    await own_visitor.open(page, "/conflicts")
    row = page.get_by_role("row", name="adyen")
    await expect(row).to_contain_text("captured 49.90 EUR")
    await row.get_by_role("link", name="Compare").click()
    await expect(page.get_by_text('set trust = "all" under [adyen]')).to_be_visible()
    payment = page.get_by_role("region", name="Payment adyen/8815131751004933", exact=True)
    await expect(payment).to_contain_text("49.90 EUR")
    await expect(page.get_by_role("button", name="Release")).to_have_count(0)
