"""Pictures of the console's pages for docs/console.md: `make screenshots FOLDER=…`."""

import os
import re
from pathlib import Path

import pytest

from tests.support.browser import THEMES, WIDTHS, Theme, Visitor
from tests.support.console_paths import list_pages, path_of
from tests.support.shop import Shop


def file_name(page_name: str, device: str, theme: Theme) -> str:
    name = re.sub(r"\W+", "-", page_name).strip("-") or "overview"
    return f"{name}-{device}{'-dark' if theme == 'dark' else ''}.png"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("device", WIDTHS)
async def test_take_pictures(shop: Shop, visitor: Visitor, device: str, theme: Theme) -> None:
    folder = Path(os.environ["SCREENSHOTS_FOLDER"])
    page = await visitor.window(width=WIDTHS[device], theme=theme)
    await visitor.open(page, "/sign-in")
    await page.screenshot(path=folder / file_name("sign in", device, theme))
    page = await visitor.window(visitor.console.money, width=WIDTHS[device], theme=theme)
    for page_name in list_pages():
        await visitor.open(page, path_of(shop, page_name))
        await page.screenshot(path=folder / file_name(page_name, device, theme), full_page=True)
