"""The operators' log: who did what, when and why."""

import json
from datetime import UTC, datetime
from typing import get_args

from aiohttp import web

from operations.audit import check_log
from operations.console.forms import read_number
from operations.console.render import render
from operations.console.site import SITE
from operations.log import Action, list_operations, read_log_end

routes = web.RouteTableDef()

OPERATIONS_PER_PAGE = 50
DETAILS_CHARS_SHOWN = 600


@routes.get("/operations")
async def show(request: web.Request) -> web.StreamResponse:
    """Show one page of the log, the newest first: of one actor or one kind of act, if the address says so."""
    before = request.query.get("before")
    actor, action = request.query.get("actor") or None, request.query.get("action") or None
    async with request.app[SITE].postgres() as connection:
        operations = await list_operations(
            connection,
            before=read_number(before) if before else None,
            limit=OPERATIONS_PER_PAGE,
            actor=actor,
            action=action,
        )
        end = await read_log_end(connection)
    return render(
        request,
        "operations.html",
        operations=operations,
        details=_details,
        end=end,
        actor=actor or "",
        action=action or "",
        actions=get_args(Action),
        before=before,
        next=operations[-1].id if len(operations) == OPERATIONS_PER_PAGE else None,
        filters={name: value for name, value in (("actor", actor), ("action", action)) if value},
    )


@routes.post("/operations/check")
async def check(request: web.Request) -> web.StreamResponse:
    """Check that no row of the log was changed, added or removed by hand. Changes nothing."""
    async with request.app[SITE].postgres() as connection:
        finding = await check_log(connection)
        end = await read_log_end(connection)
    return render(request, "operations_checked.html", finding=finding, end=end, at=datetime.now(UTC))


def _details(details: dict[str, object]) -> str:
    text = ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in details.items()
    )
    return text if len(text) <= DETAILS_CHARS_SHOWN else f"{text[:DETAILS_CHARS_SHOWN]}…"
