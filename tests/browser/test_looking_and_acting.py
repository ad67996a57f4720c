"""What a person follows, discards and audits, with JavaScript and without: each act changes what the pages show."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visitor
from tests.support.shop import Shop
from tests.support.shop_events import paid

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


async def counted(page: Page, noun: str) -> str:
    """Return what a card of the first page counts."""
    return await page.get_by_role("link", name=re.compile(rf"^\d+ {noun}s?\b")).inner_text()


@SCRIPTS
async def test_an_event_that_arrives_is_seen_by_who_follows(
    own_shop: Shop, own_visitor: Visitor, scripts: bool
) -> None:
    page = await own_visitor.window(own_shop.console.viewer, scripts=scripts)
    await own_visitor.open(page, "/events")
    await page.get_by_role("link", name="Follow").click()
    await expect(page.get_by_role("link", name="Stop following")).to_be_visible()
    await expect(page.get_by_role("link", name="evt_1")).to_have_count(0)
    await own_shop.send(paid("pi_1", 700, event_id="evt_1"))
    await own_shop.is_done(applied=1)
    if not scripts:
        await page.get_by_role("link", name="Refresh").click()
    row = page.get_by_role("row", name="evt_1")
    await expect(row).to_contain_text("applied")
    await row.get_by_role("link", name="pi_1").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Payment pi_1")
    await expect(page.get_by_role("row", name="capture:pi_1").first).to_contain_text("7.00 EUR")


@SCRIPTS
async def test_a_page_of_dead_letters_is_discarded_and_the_first_page_counts_fewer(
    own_shop: Shop, own_visitor: Visitor, scripts: bool
) -> None:
    own_shop.team.rejected |= dict.fromkeys(("pi_1", "pi_2", "pi_3"), "the order was cancelled")
    await own_shop.send(paid("pi_1", 500), paid("pi_2", 600), paid("pi_3", 700), paid("pi_4", 800, "gbp"))
    await own_shop.has_open_dead_letters(4)
    page = await own_visitor.window(own_shop.console.operator, scripts=scripts)
    await own_visitor.open(page, "/")
    assert "4" in await counted(page, "dead letter")
    await page.get_by_role("link", name="4 dead letters").click()
    await page.get_by_label("Query").fill("pi_1")
    await page.get_by_role("button", name="Discard …").click()
    await page.get_by_label("Reason").fill("refunded by hand")
    await page.get_by_role("button", name="Discard 1").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Discarded")
    await own_visitor.open(page, "/dead")
    await page.get_by_role("link", name="the order was cancelled").click()
    await page.get_by_role("link", name="Choose all 2 on this page").click()
    await expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    await page.get_by_role("button", name="Discard the chosen …").click()
    await page.get_by_label("Reason").fill("refunded by hand too")
    await page.get_by_role("button", name="Discard 2").click()
    await expect(page.get_by_role("status")).to_contain_text("2 discarded")
    await page.get_by_role("navigation").get_by_role("link", name="Overview").click()
    assert (await counted(page, "dead letter")).startswith("1")
    await own_visitor.open(page, "/events?query=pi_2")
    await page.get_by_role("link", name=re.compile("evt_2")).first.click()
    timeline = page.get_by_role("row", name="discarded")
    await expect(timeline).to_contain_text("by olga in the console: refunded by hand too")


@SCRIPTS
async def test_an_audit_is_run_from_its_page(own_shop: Shop, own_visitor: Visitor, scripts: bool) -> None:
    await own_shop.send(paid("pi_1", 700))
    await own_shop.is_done(applied=1)
    page = await own_visitor.window(own_shop.console.operator, scripts=scripts)
    await own_visitor.open(page, "/audit")
    await page.get_by_role("button", name="Run the audit").click()
    await expect(page.get_by_role("status")).to_contain_text(re.compile(r"All \d+ rules hold"))
    watching = await own_visitor.window(own_shop.console.viewer, scripts=scripts)
    await own_visitor.open(watching, "/audit")
    await expect(watching.get_by_role("button", name="Run the audit")).to_have_count(0)
