"""The operators' log: who did what, when and why."""

import json
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlencode

from aiohttp import web

from contract.keys import NAMESPACE_PATTERN
from operations.audit import check_log
from operations.console.forms import read_number
from operations.console.links import event_path, payment_path
from operations.console.render import render
from operations.console.site import SITE, reading
from operations.log import Action, Operation, list_operations, read_log_end

routes = web.RouteTableDef()

OPERATIONS_PER_PAGE = 50
DETAILS_CHARS_SHOWN = 600
LINKS_MAX = 10


@routes.get("/operations")
async def show(request: web.Request) -> web.StreamResponse:
    """Show one page of the log, the newest first: of one actor or one kind of act, if the address says so."""
    before = request.query.get("before")
    actor, action = request.query.get("actor") or None, request.query.get("action") or None
    about = request.query.get("about") or None
    async with reading(request).postgres() as connection:
        operations = await list_operations(
            connection,
            before=read_number(before) if before else None,
            limit=OPERATIONS_PER_PAGE,
            actor=actor,
            action=action,
            about=about,
        )
        end = await read_log_end(connection)
    return render(
        request,
        "operations.html",
        operations=operations,
        details=_details,
        end=end,
        links=_links,
        actor=actor or "",
        about=about or "",
        action=action or "",
        actions=get_args(Action),
        before=before,
        next=operations[-1].id if len(operations) == OPERATIONS_PER_PAGE else None,
        filters={name: value for name, value in (("actor", actor), ("action", action), ("about", about)) if value},
    )


@routes.post("/operations/check")
async def check(request: web.Request) -> web.StreamResponse:
    """Check that no row of the log was changed, added or removed by hand. Changes nothing."""
    async with request.app[SITE].postgres() as connection:
        finding = await check_log(connection)
        end = await read_log_end(connection)
    return render(request, "operations_checked.html", finding=finding, end=end, at=datetime.now(UTC))


def _links(operation: Operation) -> list[tuple[str, str]]:
    """Return the pages of what the act was about, each with its words."""
    found = []
    kind, _, id_ = operation.subject.partition(":")
    namespace, _, payment_id = id_.partition("/")
    if kind == "payment" and payment_id:
        found.append((payment_path(namespace, payment_id), "payment"))
    if kind == "dead_letter" and id_.isdecimal():
        found.append((f"/dead/{id_}", f"dead letter {id_}"))
    if kind == "source":
        found.append((f"/events?{urlencode({'query': f'source:{json.dumps(id_)}'})}", "its events"))
    events = [operation.details.get("event"), *_listed(operation.details.get("events"))]
    for name in [each for each in events if isinstance(each, str)][:LINKS_MAX]:
        namespace, _, event_id = name.partition("/")
        if event_id and NAMESPACE_PATTERN.fullmatch(namespace):
            found.append((event_path(namespace, event_id), f"event {event_id}"))
    conflicts = _listed(operation.details.get("conflicts"))
    found += [(f"/conflicts/{each}", f"conflict {each}") for each in conflicts[:LINKS_MAX] if isinstance(each, int)]
    return found


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _details(details: dict[str, object]) -> str:
    text = ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in details.items()
    )
    return text if len(text) <= DETAILS_CHARS_SHOWN else f"{text[:DETAILS_CHARS_SHOWN]}…"
