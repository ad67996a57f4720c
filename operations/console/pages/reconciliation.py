"""Reconciliation: how completely each source's events have arrived, what differs, and asking for a comparison."""

from datetime import UTC, datetime
from typing import get_args

from aiohttp import web

from operations.completeness import read_completeness
from operations.console.access import Role
from operations.console.forms import read_act, read_text
from operations.console.guard import requires
from operations.console.render import render
from operations.console.site import SITE, reading
from operations.reconcile.request import RequestError, ask, read_requests
from operations.reconcile.store import FindingKind, list_findings

routes = web.RouteTableDef()

FINDINGS_MAX = 200
"""Findings that the page lists."""

KINDS: tuple[FindingKind, ...] = get_args(FindingKind)


@routes.get("/reconciliation")
async def show(request: web.Request) -> web.StreamResponse:
    """Show each source, and what differs: of one source and kind if the address names them, open or all."""
    source, kind = request.query.get("source", ""), request.query.get("kind", "")
    if kind and kind not in KINDS:
        raise web.HTTPBadRequest(text=f"A kind of finding is {', '.join(KINDS)}.")
    only_open = request.query.get("all", "") != "1"
    reach = reading(request)
    async with reach.postgres() as connection:
        sources = await read_completeness(connection, reach.servers.settings.sources_file)
        asked = await read_requests(connection)
        findings = await list_findings(
            connection, source=source or None, kind=kind or None, only_open=only_open,
            limit=FINDINGS_MAX + 1,
        )  # fmt: skip
    return render(
        request,
        "reconciliation.html",
        sources=sources,
        asked=asked,
        findings=findings[:FINDINGS_MAX],
        more=len(findings) > FINDINGS_MAX,
        kinds=KINDS,
        source=source,
        kind=kind,
        only_open=only_open,
        now=datetime.now(UTC),
    )


@routes.post("/reconciliation")
@requires(Role.OPERATOR)
async def compare(request: web.Request) -> web.StreamResponse:
    """Ask the reconciler to compare a source at once, and to add what is missing if the form says so."""
    form, act = await request.post(), await read_act(request)
    source, repair = read_text(form, "source"), read_text(form, "repair") == "yes"
    site = request.app[SITE]
    try:
        async with site.postgres() as connection:
            number = await ask(connection, site.servers.settings.sources_file, source, repair=repair, act=act)
    except RequestError as error:
        raise web.HTTPConflict(text=f"Nothing was done: {error}.") from None
    return render(request, "reconciliation_asked.html", source=source, repair=repair, number=number)
