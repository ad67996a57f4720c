"""Signing in and out, with the mouse and with the keyboard, with JavaScript and without."""

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visitor, focused
from tests.support.console import PASSWORDS, ROLES


async def sign_in(page: Page, name: str, password: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("name", PASSWORDS)
async def test_each_person_signs_in_and_sees_the_page_that_was_asked_for(
    visitor: Visitor, name: str, scripts: bool
) -> None:
    page = await visitor.window(scripts=scripts)
    await page.goto(visitor.console.url + "/?from=a-link")
    await sign_in(page, name, PASSWORDS[name])
    await expect(page).to_have_url(visitor.console.url + "/?from=a-link")
    await expect(page.locator("header .viewer")).to_contain_text(name)
    await expect(page.locator("header .viewer")).to_contain_text(", ".join(sorted(ROLES[name])))
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.goto(visitor.console.url + "/")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_person_signs_in_with_the_keyboard_alone(visitor: Visitor) -> None:
    page = await visitor.window()
    await visitor.open(page, "/sign-in")
    assert await focused(page) == "Name"
    await page.keyboard.type("olga")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Password"
    await page.keyboard.type(PASSWORDS["olga"])
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_the_first_key_leads_past_the_navigation(visitor: Visitor) -> None:
    page = await visitor.window(visitor.console.viewer)
    await visitor.open(page, "/")
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_what_has_the_focus_is_marked(visitor: Visitor) -> None:
    page = await visitor.window(visitor.console.viewer)
    await visitor.open(page, "/")
    for _ in range(await page.locator("header a, header button").count() + 1):
        await page.keyboard.press("Tab")
        marked = "(s => s.outlineStyle != 'none' && parseFloat(s.outlineWidth) >= 2)"
        assert await page.evaluate(f"{marked}(getComputedStyle(document.activeElement))"), await focused(page)


async def test_a_wrong_password_is_refused_with_a_sentence(visitor: Visitor) -> None:
    page = await visitor.window(scripts=False)
    await visitor.open(page, "/sign-in")
    await sign_in(page, "olga", "a guess")
    await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    await expect(page.locator("header .viewer")).to_have_count(0)
    visitor.found.clear()  # the browser notes that the answer was a 401
