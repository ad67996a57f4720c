"""The web application: every route of the gateway, and what holds for all of them."""

from collections.abc import Callable, Mapping

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler, Middleware

from gateway.connection import Connection
from gateway.health import Health
from gateway.metrics import NO_SOURCE, Metrics
from gateway.openapi import Documentation
from gateway.problem import problem, retry_later
from gateway.settings import Settings
from gateway.webhook import Webhook
from providers.base import Provider

DEFAULT_SOURCE = "default"

log = structlog.get_logger()


def make_application(
    sources: Mapping[str, Provider],
    make_webhook: Callable[[Provider], Webhook],
    health: Health,
    metrics: Metrics,
    settings: Settings,
) -> web.Application:
    """Return the application with all its routes. GET also answers HEAD."""
    application = web.Application(middlewares=[_every_request(health, metrics, settings)])
    pages = Documentation(sources, settings)
    gets = {
        "/healthz": health.healthz,
        "/readyz": health.readyz,
        "/metrics": health.metrics,
        "/openapi.json": pages.openapi,
        "/docs": pages.docs,
    }
    for path, page in gets.items():
        application.router.add_get(path, page, expect_handler=_expect_nothing)
    for name, provider in sources.items():
        webhook = make_webhook(provider)
        for path in (f"/webhooks/{name}", *(["/webhook"] if name == DEFAULT_SOURCE else [])):
            application.router.add_post(path, webhook.receive, expect_handler=_expect_nothing)
            if webhook.has_challenge:
                application.router.add_get(path, webhook.challenge, expect_handler=_expect_nothing)
    return application


def _every_request(health: Health, metrics: Metrics, settings: Settings) -> Middleware:
    """Return the one middleware: each is a call more per request."""

    @web.middleware
    async def every_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.transport
        if isinstance(connection, Connection):
            connection.is_handled = connection.is_in_request = True
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _no_route(error)
            metrics.of(NO_SOURCE).answered(response.status)
        except Exception:
            metrics.internal_error()
            log.exception("a bug: the client is asked to retry")
            response = retry_later(503, "The request cannot be processed now.", settings.retry_after_s)
        if health.is_draining or not request.content.is_eof():
            response.force_close()
            if isinstance(connection, Connection):
                connection.is_last_request = True
        if not request.keep_alive:
            response.headers["Connection"] = "close"  # aiohttp does not say so to HTTP/1.0
        return response

    return every_request


def _no_route(error: web.HTTPException) -> web.Response:
    """Return the answer to a path or method that the router does not know."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(405, f"Only {allowed} is answered here.", {"Allow": allowed})
    return problem(404, "There is no such endpoint: no source has this name.")


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
