"""The web application: every route of the gateway, and what holds for every request."""

from collections.abc import Callable, Iterable, Mapping

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

from gateway.health import Health
from gateway.lifecycle import Lifecycle
from gateway.metrics import NO_SOURCE, Metrics
from gateway.openapi import Documentation, describe, describe_any_source
from gateway.problem import problem
from gateway.settings import Settings
from gateway.webhook import Webhook
from providers.base import Provider

DEFAULT_SOURCE = "default"

Routes = dict[tuple[str, str], Handler]
"""The handler of each method and path."""

log = structlog.get_logger()


def make_application(routes: Routes, lifecycle: Lifecycle, metrics: Metrics) -> web.Application:
    """Return the application with these routes; everything else is answered 404 or 405.

    There is no aiohttp middleware: the first one costs each request 13,000 instructions, 3 % of the whole.
    """
    application = web.Application()
    for (method, path), handler in routes.items():
        application.router.add_route(method, path, handler, expect_handler=_expect_nothing)
    others = _Others("/{path}")
    others.add_route("*", lifecycle.wrap(_no_route(routes, metrics)), expect_handler=_expect_nothing)
    application.router.register_resource(others)
    return application


def make_routes(
    sources: Mapping[str, Provider],
    make_webhook: Callable[[Provider], Webhook],
    health: Health,
    settings: Settings,
    lifecycle: Lifecycle,
) -> Routes:
    """Return the routes of the public port: all sources, and pages that name none of them."""
    pages = _pages(health, Documentation(describe_any_source(settings)))
    posts: dict[str, Handler] = {}
    for name, provider in sources.items():
        webhook = make_webhook(provider)
        for path in (f"/webhooks/{name}", *(["/webhook"] if name == DEFAULT_SOURCE else [])):
            posts[path] = webhook.receive
            if webhook.has_challenge:
                pages[path] = webhook.challenge
    return _gets(pages, lifecycle) | {("POST", path): post for path, post in posts.items()}


def make_operators_routes(
    sources: Mapping[str, Provider], health: Health, settings: Settings, lifecycle: Lifecycle
) -> Routes:
    """Return the routes of the operators' port."""
    pages = _pages(health, Documentation(describe(sources, settings)))
    return _gets(pages | {"/metrics": health.metrics}, lifecycle)


def _pages(health: Health, documentation: Documentation) -> dict[str, Handler]:
    return {
        "/healthz": health.healthz,
        "/readyz": health.readyz,
        "/openapi.json": documentation.openapi,
        "/docs": documentation.docs,
    }


def _gets(pages: Mapping[str, Handler], lifecycle: Lifecycle) -> Routes:
    """Return the routes of pages. GET also answers HEAD."""
    return {(method, path): lifecycle.wrap(page) for path, page in pages.items() for method in ("GET", "HEAD")}


class _Others(web.DynamicResource):
    """Everything that is no other resource, also what has no path: `OPTIONS *`."""

    async def resolve(self, _request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Return the only route."""
        return web.UrlMappingMatchInfo({}, next(iter(self))), {"*"}


def _no_route(routes: Iterable[tuple[str, str]], metrics: Metrics) -> Handler:
    allowed: dict[str, list[str]] = {}
    for method, path in routes:
        allowed.setdefault(path, []).append(method)

    async def answer(request: web.Request) -> web.Response:
        methods = ", ".join(sorted(allowed.get(request.path, ())))
        if methods:
            response = problem(405, f"Only {methods} is answered here.", {"Allow": methods})
        else:
            response = problem(404, "There is no such endpoint: no source has this name.")
        metrics.of(NO_SOURCE).answered(response.status)
        return response

    return answer


async def _expect_nothing(_request: web.Request) -> None:
    """Do not answer `Expect: 100-continue` here: the body's length is checked first. Ignore any other expectation."""


class AccessLog(AbstractAccessLogger):
    """One line for each request, where GATEWAY_ACCESS_LOG is on. It has neither query nor headers nor body."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log one request; `time` is in seconds."""
        log.info(
            "request answered",
            method=request.method, path=request.path, status=response.status, bytes=response.body_length,
            seconds=round(time, 6), client=request.remote,
        )  # fmt: skip
