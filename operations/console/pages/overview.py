"""The first page: what moves, what waits, and what needs a person."""

from aiohttp import web

from operations.console.render import render
from operations.console.site import SITE
from operations.status import PostgresStatus, RedisStatus, read_status

routes = web.RouteTableDef()


@routes.get("/")
async def show(request: web.Request) -> web.StreamResponse:
    """Show both servers, each even if the other one cannot be reached."""
    status = await read_status(request.app[SITE].servers)
    return render(
        request,
        "overview.html",
        redis=status.redis if isinstance(status.redis, RedisStatus) else None,
        postgres=status.postgres if isinstance(status.postgres, PostgresStatus) else None,
        problems=[half for half in (status.redis, status.postgres) if isinstance(half, str)],
    )
