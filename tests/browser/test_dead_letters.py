"""Rejected payments are found, put right and replayed, with JavaScript, without, and with the keyboard alone."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visitor, focused
from tests.support.console import PASSWORDS
from tests.support.shop import Shop
from tests.support.shop_events import paid

KEYS_MAX = 40


async def read_last_act(page: Page) -> str:
    await page.get_by_role("navigation").get_by_role("link", name="Operators' log").click()
    return await page.get_by_role("row").nth(1).inner_text()


async def reject(shop: Shop, number: int) -> None:
    """Have that number payments rejected for their currency, and two for their orders."""
    shop.team.rejected |= dict.fromkeys(("pi_x", "pi_y"), "the order was cancelled")
    await shop.send(*(paid(f"pi_{n}", 1000 + n, "gbp") for n in range(number)), paid("pi_x", 500), paid("pi_y", 600))
    await shop.has_open_dead_letters(number + 2)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_fifty_are_replayed_by_query_once_the_handler_is_put_right(
    own_shop: Shop, own_visitor: Visitor, scripts: bool
) -> None:
    await reject(own_shop, 50)
    page = await own_visitor.window(own_shop.console.operator, scripts=scripts)
    await own_visitor.open(page, "/")
    await page.get_by_role("navigation").get_by_role("link", name="Dead letters").click()
    await expect(page.get_by_role("row", name="there is no price list in GBP")).to_contain_text("50")
    own_shop.team.priced.add("GBP")
    await page.get_by_label("Query").fill('reason:"no price list"')
    await page.get_by_role("button", name="Replay what matches").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Replay 50 dead letters?")
    assert await own_shop.workers.row("SELECT count(*) FROM events") == (0,)
    await page.get_by_label("Reason").fill("GBP has prices now")
    await page.get_by_role("button", name="Replay 50").click()
    await expect(page.get_by_role("status")).to_contain_text("50")
    await own_shop.is_done(applied=50)
    await own_shop.has_open_dead_letters(2)
    act = await read_last_act(page)
    for text in ("olga", "console", "replay", "50", "GBP has prices now"):
        assert text in act


async def test_a_dead_letter_is_replayed_with_the_keyboard_alone(own_shop: Shop, own_visitor: Visitor) -> None:
    await reject(own_shop, 1)
    own_shop.team.rejected.clear()
    page = await own_visitor.window(own_shop.console.operator)
    await own_visitor.open(page, "/dead")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # past the navigation
    for _ in range(KEYS_MAX):
        await page.keyboard.press("Tab")
        if await focused(page) == "Query":
            break
    await page.keyboard.type("reason:cancelled")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Replay 2 dead letters?")
    assert await focused(page) == "Reason"
    await page.keyboard.type("the orders are open again")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Replayed")
    await own_shop.is_done(applied=2)


async def test_somebody_finds_out_why_a_payment_is_missing_and_brings_it_back(
    own_shop: Shop, own_visitor: Visitor
) -> None:
    await reject(own_shop, 1)
    page = await own_visitor.window()
    await page.goto(own_visitor.console.url)
    await page.get_by_label("Name").fill("olga")
    await page.get_by_label("Password").fill(PASSWORDS["olga"])
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("navigation").get_by_role("link", name="Events").click()
    await page.get_by_label("Query").fill("pi_0")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name=re.compile("evt_0")).click()
    await expect(page.get_by_role("region", name="State")).to_contain_text("there is no price list in GBP")
    own_shop.team.priced.add("GBP")
    await page.get_by_label("Reason").fill("a customer asked; GBP has prices now")
    await page.get_by_role("button", name="Replay").click()
    confirm = page.get_by_role("button", name="Replay 1")
    await expect(confirm.or_(page.get_by_role("heading", name="Replayed"))).to_be_visible()
    if await confirm.count():
        await confirm.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Replayed")
    await own_shop.is_done(applied=1)
    await own_visitor.open(page, "/payments/stripe/pi_0")
    await expect(page.locator("main")).to_contain_text("10.00 GBP")
    act = await read_last_act(page)
    for text in ("olga", "replay", "a customer asked; GBP has prices now"):
        assert text in act
