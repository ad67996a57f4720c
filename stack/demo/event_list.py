"""A stand-in of Stripe's list of events on this machine: what the demonstration lost is still in it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from stack.ports import HOST, free_port

PAGE_MAX = 100


@asynccontextmanager
async def serving_events(bodies: Sequence[bytes], key: str) -> AsyncIterator[str]:
    """List the events of these bodies, newest first, to who has the key. Yield the address of the API."""
    events = sorted((json.loads(body) for body in bodies), key=lambda event: -int(event["created"]))

    async def list_events(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": {"type": "invalid_request_error"}}, status=401)
        return web.json_response(page(events, dict(request.query)))

    app = web.Application()
    app.router.add_get("/v1/events", list_events)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        port = free_port()
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{port}"
    finally:
        await runner.cleanup()


def page(events: Sequence[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """Return the page of a list, by the parameters that Stripe documents."""
    types = {value for name, value in query.items() if name.startswith("types[")}
    since, until = int(query.get("created[gte]", 0)), int(query.get("created[lt]", 2**62))
    found = [event for event in events if since <= event["created"] < until and (not types or event["type"] in types)]
    ids = [event["id"] for event in found]
    after = query.get("starting_after")
    first = ids.index(after) + 1 if after in ids else 0
    last = first + min(int(query.get("limit", 10)), PAGE_MAX)
    return {"object": "list", "url": "/v1/events", "has_more": last < len(found), "data": found[first:last]}
