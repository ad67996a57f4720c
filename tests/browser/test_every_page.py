"""What each page keeps: for a keyboard, a screen reader, a telephone, in the dark, and without a script of its own."""

import itertools

import pytest
from playwright.async_api import expect

from tests.support.browser import HEIGHT, THEMES, WIDTHS, Visitor, accessibility_faults, is_too_wide
from tests.support.console_paths import list_pages, path_of
from tests.support.shop import Shop

INLINE = (
    "script:not([src]):not([type='application/json']), style, [style], [onclick], [onload], [onerror], "
    "a[href^='javascript:']"
)
"""What the policy forbids."""


@pytest.mark.parametrize("page_name", list_pages())
async def test_everybody_can_use_a_page(shop: Shop, visitor: Visitor, page_name: str) -> None:
    faults = {}
    page = await visitor.window(visitor.console.money)
    await visitor.open(page, path_of(shop, page_name))
    for (device, width), theme in itertools.product(WIDTHS.items(), THEMES):
        await page.set_viewport_size({"width": width, "height": HEIGHT})
        await page.emulate_media(color_scheme=theme)
        faults[device, theme] = await accessibility_faults(page)
        if await is_too_wide(page):
            faults[device, theme].append("the page as a whole has to be scrolled sideways")
    assert {where: found for where, found in faults.items() if found} == {}


@pytest.mark.parametrize("page_name", list_pages())
async def test_a_page_without_scripts_has_the_same_headings(shop: Shop, visitor: Visitor, page_name: str) -> None:
    with_scripts = await visitor.window(visitor.console.money)
    without = await visitor.window(visitor.console.money, scripts=False)
    headings = []
    for page in (with_scripts, without):
        await visitor.open(page, path_of(shop, page_name))
        headings.append(await page.locator("h1, h2").all_inner_texts())
        await expect(page.locator("h1")).to_have_count(1)
    assert headings[0] == headings[1]
    await expect(without.locator(INLINE)).to_have_count(0)  # with scripts, ours may set a style


async def test_the_overview_fits_a_window_that_became_narrow_before_its_charts_are_drawn_anew(visitor: Visitor) -> None:
    page = await visitor.window(visitor.console.money)
    await page.add_init_script("window.addEventListener('resize', (event) => event.stopImmediatePropagation(), true)")
    await visitor.open(page, "/")
    await page.locator("figure .uplot").first.wait_for()
    await page.set_viewport_size({"width": WIDTHS["phone"], "height": HEIGHT})
    assert not await is_too_wide(page)
