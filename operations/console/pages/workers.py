"""The consumers of the group: which run, what each has in work, and what its oldest entry waits for."""

import re

from aiohttp import web

from consumers.stream_stats import read_all_stats
from operations.console.render import render
from operations.console.site import SITE
from operations.group_consumers import GroupConsumer, count_workers, list_consumers
from operations.pending import find_oldest_of
from operations.pending_reason import WorkerLimits

routes = web.RouteTableDef()

CONSUMERS_MAX = 100

_WORKER = re.compile(r"(?:(?P<partition>[0-9]+):)?worker-(?P<slot>[0-9]+)")


@routes.get("/workers")
async def show(request: web.Request) -> web.StreamResponse:
    """Show every consumer, by slot."""
    servers = request.app[SITE].servers
    async with request.app[SITE].redis() as redis:
        stats = await read_all_stats(redis, servers.keys)
        consumers = await list_consumers(redis, servers.keys, stats)
        busy = [each.name for each in consumers[:CONSUMERS_MAX] if each.pending]
        running = await count_workers(redis, servers.keys, stats, consumers)
        oldest = await find_oldest_of(redis, servers.keys, WorkerLimits.of(servers.settings), stats, busy)
    return render(
        request,
        "workers.html",
        stats=stats,
        consumers=consumers[:CONSUMERS_MAX],
        left_out=max(0, len(consumers) - CONSUMERS_MAX),
        running=running,
        oldest=oldest,
        plain_name=plain_name,
    )


def plain_name(consumer: GroupConsumer) -> str:
    """Return what a person calls a consumer: `Worker 3`, or `Worker 3 of partition 1`."""
    match = _WORKER.fullmatch(consumer.name)
    if not match:
        return consumer.name
    return f"Worker {match['slot']}" + (f" of partition {match['partition']}" if match["partition"] else "")
