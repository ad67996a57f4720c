"""Which handler answers which path. Paths are fixed at the start, so that finding one is a look into a dictionary."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp.web_request import BaseRequest

from gateway.metrics import NO_SOURCE, Metrics
from gateway.problem import problem
from gateway.response import Response

Handler = Callable[[BaseRequest], Awaitable[Response]]


class Routes:
    """All paths of the gateway. GET also answers HEAD."""

    def __init__(self, get: Mapping[str, Handler], post: Mapping[str, Handler], metrics: Metrics) -> None:
        self._handlers = {(method, path): handler for path, handler in get.items() for method in ("GET", "HEAD")}
        self._handlers |= {("POST", path): handler for path, handler in post.items()}
        self._allowed = dict.fromkeys(get, "GET, HEAD") | dict.fromkeys(post, "POST")
        self._allowed |= dict.fromkeys(get.keys() & post.keys(), "GET, HEAD, POST")
        self._metrics = metrics

    def __call__(self, request: BaseRequest) -> Awaitable[Response]:
        """The answer to any well-formed request."""
        handler = self._handlers.get((request.method, request.raw_path))
        return handler(request) if handler else self._find(request)

    async def _find(self, request: BaseRequest) -> Response:
        """The path may be written with a query, in full, or with escapes."""
        handler = self._handlers.get((request.method, request.path))
        return await handler(request) if handler else self._refuse(request.path)

    def _refuse(self, path: str) -> Response:
        allowed = self._allowed.get(path)
        if allowed:
            response = problem(405, f"Only {allowed} is answered here.", headers=f"Allow: {allowed}\r\n")
        else:
            response = problem(404, "There is no such endpoint: no source has this name.")
        self._metrics.of(NO_SOURCE).answered.inc(response.status)
        return response
