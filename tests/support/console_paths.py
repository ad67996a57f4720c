"""The pages of the console that a person can open, found in its routes."""

from aiohttp import web

from operations.console.pages import PAGES
from tests.support.shop import Shop

_ROUTES = [route for routes in PAGES for route in routes if isinstance(route, web.RouteDef) and route.method == "GET"]

OF_ONE_THING = {
    "a refunded payment": "/payments/",
    "a contradicted payment": "/payments/",
    "an applied event": "/events/",
    "a dead event": "/events/",
    "a waiting event": "/events/",
    "a missing event": "/events/",
    "a conflict": "/conflicts/",
}
"""Pages about one thing of the seeded shop, and how their addresses begin."""

PARTS = ("/part", "/tail", "/rows", ".json")
"""How addresses end that answer with a part of a page."""


def has_route(begin: str) -> bool:
    """Return whether there are pages about one thing at addresses that begin so."""
    return any(route.path.startswith(begin + "{") for route in _ROUTES)


def list_pages() -> list[str]:
    """Return the paths of the pages that always exist, and the names of those about one thing of the seeded shop."""
    fixed = {route.path for route in _ROUTES if "{" not in route.path and not route.path.endswith(PARTS)}
    return [*sorted(fixed), *(name for name, begin in OF_ONE_THING.items() if has_route(begin))]


def path_of(shop: Shop, page: str) -> str:
    """Return the path of one of `list_pages` in this shop."""
    return shop.paths.get(page, page)
