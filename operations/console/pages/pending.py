"""Entries that were read and are not committed: who holds them, and why each waits."""

import re
from collections import Counter

from aiohttp import web

from consumers.entry import Entry
from operations.console.render import render
from operations.console.site import SITE
from operations.group_consumers import list_consumers
from operations.pending import list_pending
from operations.pending_reason import STRANDED, PendingKind, WorkerLimits

routes = web.RouteTableDef()

ENTRIES_PER_PAGE = 100
CONSUMERS_SHOWN_MAX = 50

_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


@routes.get("/pending")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the oldest entries: all, one consumer's, or those of one kind of reason among those read."""
    servers, owner, kind = request.app[SITE].servers, request.query.get("owner"), request.query.get("kind")
    after = request.query.get("after")
    if after is not None and not _ENTRY_ID.fullmatch(after):
        raise web.HTTPBadRequest(text="`after` is not the number of an entry.")
    async with request.app[SITE].redis() as redis:
        page = await list_pending(
            redis,
            servers.keys,
            WorkerLimits.of(servers.settings),
            limit=ENTRIES_PER_PAGE,
            after=after,
            consumer=owner,
        )
        consumers = await list_consumers(redis, servers.keys, page.stats)
    shown = [each for each in page.entries if kind in (None, each.kind)]
    return render(
        request,
        "pending.html",
        page=page,
        shown=shown,
        kinds=Counter(each.kind for each in page.entries).most_common(),
        owners=sorted((each for each in consumers if each.pending), key=lambda each: -each.pending),
        owners_max=CONSUMERS_SHOWN_MAX,
        works=any(each.lives for each in consumers),
        owner=owner,
        kind=PendingKind(kind) if kind in set(PendingKind) else None,
        after=after,
        stranded_why=STRANDED,
        is_envelope=lambda each: isinstance(each.pending.entry, Entry),
    )
