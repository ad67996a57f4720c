"""The console's application: all pages behind one guard."""

from aiohttp import web

from operations.console import sign_in
from operations.console.guard import add_headers, guard
from operations.console.pages import PAGES
from operations.console.render import FOLDER, make_templates
from operations.console.sampler import LAST_HOUR, sampling
from operations.console.sessions import Sessions
from operations.console.settings import Settings
from operations.console.site import SITE, Site
from operations.overview import LastHour
from operations.servers import Servers

FORM_BYTES_MAX = 64 * 1024

ASSETS = {
    path.relative_to(FOLDER / "static").as_posix(): path
    for path in (FOLDER / "static").rglob("*")
    if path.suffix in (".css", ".js", ".svg")
}
"""The files for everybody, by name: the sign-in page needs them. No name leads anywhere else."""


def make_app(servers: Servers, settings: Settings) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[guard], client_max_size=FORM_BYTES_MAX)
    app[SITE] = Site(servers, settings, Sessions(settings.console_session_s), make_templates())
    app[LAST_HOUR] = LastHour()
    app.cleanup_ctx.append(sampling)
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/static/{name:.+}", _asset)
    app.add_routes(sign_in.routes)
    for routes in PAGES:
        app.add_routes(routes)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _asset(request: web.Request) -> web.StreamResponse:
    path = ASSETS.get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(path)
