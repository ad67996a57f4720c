"""What a sender chooses stays text: it runs nothing, makes no element, opens no window and does not turn a line."""

from urllib.parse import quote

from tests.support.browser import Visitor
from tests.support.console_paths import list_pages
from tests.support.shop import Shop, send_hostile
from tests.support.shop_events import HOSTILE

RTL = ("\u202e", "\u2066")


async def test_hostile_texts_run_nothing_on_any_page(own_shop: Shop, own_visitor: Visitor) -> None:
    hostile = await send_hostile(own_shop)
    paths = [page for page in list_pages() if page.startswith("/") and page != "/erase"]
    query = f"reason:'{HOSTILE}'".replace('"', "").replace("'", '"')
    paths.append(f"/events?query={quote(query)}")
    for kind, ids in {"events": hostile.events, "payments": hostile.payments}.items():
        paths += [f"/{kind}/stripe/{quote(id_, safe='')}" for id_ in ids]
    paths += [f"/erase?payment={quote(id_, safe='')}" for id_ in hostile.payments]
    (conflict,) = await own_shop.workers.row("SELECT max(id) FROM conflicts")
    paths.append(f"/conflicts/{conflict}")
    showing = 0
    page = await own_visitor.window(own_shop.console.money)
    for path in paths:
        await own_visitor.open(page, path)
        html = await page.content()
        showing += "evil" in html
        assert await page.evaluate("window.__hit") is None, path
        assert await page.locator("img, main script:not([src]):not([type='application/json'])").count() == 0, path
        shown = await page.inner_text("body") + await page.title()  # a field has what was typed, as it was typed
        assert not [mark for mark in RTL if mark in shown], path
    assert showing >= len(paths) // 2
