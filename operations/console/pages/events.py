"""Search for events, the newest first, and the tail that follows them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import web

from operations.console.render import render
from operations.console.site import VIEWER, reading
from operations.masking import mask_text
from operations.search import Page, QueryError, Status, parse_query, search

routes = web.RouteTableDef()

ROWS_MAX = 50
"""Rows of one page."""

TAIL_EVERY_S = 2
"""How often a followed page asks again, where JavaScript runs."""

QUALIFIERS = (
    ("source:stripe", "one source; also -source:stripe"),
    ("type:charge.*", "a type of the provider, * for any characters"),
    ("status:dead", f"one of {', '.join(Status)}"),
    ("payment:pi_1", "all events of a payment"),
    ("event:evt_1", "one event"),
    ("namespace:acme", "one namespace"),
    ('reason:"timed out"', "a part of the reason"),
    ("origin:reconcile", "found in the provider's list, never delivered; or delivery"),
    ("since:2h", "30s, 15m, 2h, 3d, or a time such as 2026-11-26T10:00Z"),
    ("until:1h", "before then"),
    ("pi_1", "without a qualifier: an event's or a payment's id"),
)

REASON_CHARS_MAX = 300
"""The beginning of a reason that a row shows."""

LEVELS = {Status.DEAD: "alarm", Status.CONFLICT: "alarm", Status.WAITING: "warn", Status.HELD: "warn"}
"""How a status is coloured; the word says it too."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a query: a page, or the sentence that says what is wrong with the query."""

    text: str
    page: Page
    problem: str = ""
    hint: str = ""

    @property
    def next_path(self) -> str | None:
        """The address of the next page."""
        return f"/events?{urlencode({'query': self.text, 'after': self.page.next})}" if self.page.next else None


@routes.get("/events")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the first page of a query, or the one after a cursor."""
    found = await _find(request)
    query = {"query": found.text} if found.text else {}
    is_followed = request.query.get("follow") == "1" and not found.problem and "after" not in request.query
    return _render(
        request,
        "events.html",
        found,
        status=400 if found.problem else 200,
        qualifiers=QUALIFIERS,
        is_followed=is_followed,
        is_first="after" not in request.query,
        tail_path=f"/events/tail?{urlencode(query)}",
        follow_path=f"/events?{urlencode(query | {'follow': '1'})}",
        stop_path=f"/events?{urlencode(query)}",
    )


@routes.get("/events/tail")
async def tail(request: web.Request) -> web.StreamResponse:
    """Return the newest rows alone, as a part of a page that is followed."""
    found = await _find(request)
    return _render(request, "events_rows.html", found, status=400 if found.problem else 200)


async def _find(request: web.Request) -> Found:
    text, reach = request.query.get("query", ""), reading(request)
    try:
        query = parse_query(text, datetime.now(UTC))
        page = await search(reach, reach.servers.keys, query, limit=ROWS_MAX, after=request.query.get("after"))
    except QueryError as error:
        return Found(text, Page(), str(error))
    return Found(text, page, hint=query.hint)


def _render(
    request: web.Request, template: str, found: Found, *, status: int = 200, **values: object
) -> web.StreamResponse:
    masked = str if request[VIEWER].sees_personal_data else mask_text
    return render(
        request, template, status=status, found=found, levels=LEVELS, masked=masked, at=datetime.now(UTC),
        every_s=TAIL_EVERY_S, reason_max=REASON_CHARS_MAX, **values,
    )  # fmt: skip
