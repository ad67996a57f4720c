"""The console's application: all pages behind one guard."""

from aiohttp import web

from operations.console import assets, sign_in
from operations.console.connections import Connections
from operations.console.guard import add_headers, guard
from operations.console.pages import PAGES
from operations.console.render import make_templates
from operations.console.sampler import LAST_HOUR, sampling
from operations.console.sessions import Sessions
from operations.console.settings import Settings
from operations.console.site import SITE, Site
from operations.overview import LastHour
from operations.servers import Servers

FORM_BYTES_MAX = 64 * 1024


def make_app(servers: Servers, settings: Settings) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[guard], client_max_size=FORM_BYTES_MAX)
    connections = Connections(settings.console_connections_max)
    app[SITE] = Site(servers, settings, Sessions(settings.console_session_s), make_templates(), connections)
    app[LAST_HOUR] = LastHour()
    app.cleanup_ctx.append(sampling)
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/healthz", _healthz)
    app.add_routes(assets.routes)
    app.add_routes(sign_in.routes)
    for routes in PAGES:
        app.add_routes(routes)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})
