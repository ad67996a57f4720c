"""Whatever stands in an address or a form, the console answers with a page or with a sentence, and has no error."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from operations.console import sign_in
from operations.console.pages import PAGES
from tests.support.console import RunningConsole
from tests.support.consuming import Workers

VALUES = {
    "a number beyond all": str(10**30),
    "the largest key": str(2**63 - 1),
    "negative": "-1",
    "text": "x'\"<b>",
    "NUL": "\0",
    "an Arabic digit": "\u0663",
    "nothing": "",
    "very long": "9" * 6000,
    "turned": "\u202e\U0001f4a9",
    "a step": "../..",
}

ROUTES = [route for routes in (*PAGES, sign_in.routes) for route in routes if isinstance(route, web.RouteDef)]

IN_QUERY = re.compile(r"""query\.get\("(\w+)"|"(\w+)" (?:not )?in request\.query""")
IN_FORM = re.compile(r"""read_text\([^"]*"(\w+)"\)|getall\("(\w+)\"""")

KEYS = ("/dead?after=", "/conflicts?after=", "/pending?after=", "/operations?before=", "/events?after=",
        "/events/tail?after=")  # fmt: skip
"""Parameters that no text is right for."""


def names_in(route: web.RouteDef, pattern: re.Pattern[str]) -> set[str]:
    """Return the parameters that the module of a route reads."""
    source = Path(sys.modules[route.handler.__module__].__file__ or "").read_text(encoding="utf-8")
    return {"".join(found) for found in pattern.findall(source)}


def addresses(method: str, value: str) -> Iterator[str]:
    """Return each address with this value in each of its places, one at a time."""
    for route in ROUTES:
        if route.method != method:
            continue
        parts = re.findall(r"\{[^}]*\}", route.path)
        for part in parts:
            yield re.sub(r"\{[^}]*\}", "1", route.path.replace(part, quote(value, safe="") or "%20"))
        plain = re.sub(r"\{[^}]*\}", "1", route.path)
        for name in sorted(names_in(route, IN_QUERY) | {"unknown"}):
            group = "&group=x" if plain == "/dead" and name != "group" else ""
            yield f"{plain}?{name}={quote(value, safe='')}{group}"


def test_the_parameters_are_found() -> None:
    found = {name for route in ROUTES for name in names_in(route, IN_QUERY)}
    assert found >= {"after", "before", "query", "group", "source", "owner", "kind", "actor", "action", "namespace"}
    assert {name for route in ROUTES for name in names_in(route, IN_FORM)} >= {"ids", "shown", "keep", "query"}


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
async def test_no_value_in_an_address_is_an_error(console: RunningConsole, workers: Workers, value: str) -> None:
    await workers.publish(1)
    for address in addresses("GET", value):
        page = await console.money.get(address)
        assert page.status < 500, f"{address[:200]} answers {page.status}: {page.text}"
        if page.status >= 400 and "/events?" not in address:
            (sentence,) = re.findall(r'role="alert">(.*?)</p>', page.text, re.DOTALL)
            assert sentence.endswith("."), address[:200]
        if address.startswith(KEYS) and value not in ("", VALUES["the largest key"]):
            assert page.status in (400, 414), f"{address[:200]} answers {page.status}"


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
async def test_no_value_in_a_form_is_an_error(console: RunningConsole, value: str) -> None:
    usual = {"reason": "x", "confirm": "yes"}
    for route in ROUTES:
        if route.method != "POST" or route.path in ("/audit", "/sign-out"):
            continue
        plain = re.sub(r"\{[^}]*\}", "1", route.path)
        for name in sorted(names_in(route, IN_FORM) | {"reason"}):
            page = await console.money.post(plain, usual | {name: value})
            assert page.status < 500, f"{plain} with {name} answers {page.status}: {page.text}"
