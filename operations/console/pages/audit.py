"""The audit, run when somebody asks for it, and the acknowledgement of what it misses."""

import asyncio
import time
from collections.abc import Mapping

from aiohttp import web

from operations.acknowledgement import ACKNOWLEDGED, acknowledge
from operations.audit import read_last_audit, run_audit
from operations.console.access import Role
from operations.console.forms import read_act
from operations.console.guard import requires
from operations.console.links import event_path, payment_path
from operations.console.render import money, render
from operations.console.site import SITE

routes = web.RouteTableDef()

AMOUNTS = ("amount", "captured", "refunded", "disputed", "_booked")
"""The ends of the names of columns with money."""

TIMEOUT_S = 60.0
"""The limit of an audit that a page waits for. `make audit` takes as long as it needs."""


@routes.get("/audit")
async def show(request: web.Request) -> web.StreamResponse:
    """Show what an audit is, what the last one found, and the button."""
    async with request.app[SITE].postgres() as connection:
        last = await read_last_audit(connection, request.app[SITE].servers.keys)
    return render(request, "audit.html", report=None, timeout_s=TIMEOUT_S, last=last)


@routes.post("/audit")
@requires(Role.OPERATOR)
async def run(request: web.Request) -> web.StreamResponse:
    """Run the audit within TIMEOUT_S, one at a time, and show what it found. Changes nothing."""
    site = request.app[SITE]
    if site.auditing.locked():
        raise web.HTTPConflict(text="An audit runs already; wait for its end.")
    began_s = time.monotonic()
    try:
        async with site.auditing, asyncio.timeout(TIMEOUT_S):
            report = await run_audit(site.servers)
    except TimeoutError:
        raise web.HTTPServiceUnavailable(
            text=f"The audit was ended after {TIMEOUT_S:g} s and found nothing until then; `make audit` takes its time."
        ) from None
    return render(
        request,
        "audit.html",
        report=report,
        cells=_cells,
        timeout_s=TIMEOUT_S,
        duration_ms=(time.monotonic() - began_s) * 1000,
        can_acknowledge=any(finding.name in ACKNOWLEDGED for finding in report.findings),
    )


def _cells(row: Mapping[str, object]) -> list[tuple[object, str | None]]:
    """Return what a row of a finding shows: amounts as people write them, and the page of its payment or event."""
    namespace = row.get("namespace")
    cells: list[tuple[object, str | None]] = []
    for name, value in row.items():
        currency = next((row[each] for each in _currencies(name) if row.get(each)), None)
        if isinstance(value, int) and name.endswith(AMOUNTS):
            cells.append((money(value, str(currency)) if currency else f"{value:,} in minor units", None))
        elif name == "payment_id" and namespace and value:
            cells.append((value, payment_path(str(namespace), str(value))))
        elif name == "event_id" and namespace and value:
            cells.append((value, event_path(str(namespace), str(value))))
        else:
            cells.append((value, None))
    return cells


def _currencies(name: str) -> tuple[str, ...]:
    """Return the columns that may have the currency of an amount: of `booked_amount`, `booked_currency` first."""
    return (f"{name.removesuffix('_amount')}_currency", "currency", "money_currency")


@routes.post("/audit/acknowledge")
@requires(Role.OPERATOR)
async def acknowledge_differences(request: web.Request) -> web.StreamResponse:
    """Acknowledge what the account of the stream misses, so that the audit shows later losses only."""
    done = await acknowledge(request.app[SITE].servers, act=await read_act(request))
    return render(request, "audit_acknowledged.html", done=done)
