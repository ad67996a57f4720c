"""Whether the process lives, whether it can accept events durably now, and what it has counted."""

import json

from aiohttp.web_request import BaseRequest

from gateway.link import Link
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.response import Response

READY_AGE_S_MAX = 1.0
"""/readyz asks Redis again where the last check is older, so that a stranger cannot make it ask more often."""


class Health:
    """The three endpoints that are for operators."""

    def __init__(self, link: Link, metrics: Metrics) -> None:
        self._link = link
        self._metrics = metrics
        self.draining = False

    async def healthz(self, _request: BaseRequest) -> Response:
        """The process lives. It says nothing of Redis: a restart would not heal that."""
        return Response(200, b'{"alive":true}')

    async def readyz(self, _request: BaseRequest) -> Response:
        """200 where an event posted now would be accepted durably, else 503 with the reason."""
        await self._link.check(READY_AGE_S_MAX)
        promise = self._link.promise
        if self.draining:
            return _not_ready("the gateway is being stopped")
        if promise is None:
            return _not_ready(self._link.reason)
        body = {"ready": True, "reason": None, "durability": promise.durability, "proof": promise.method.value}
        return Response(200, json.dumps(body).encode())

    async def metrics(self, _request: BaseRequest) -> Response:
        """Prometheus' text format."""
        return Response(200, self._metrics.render(), CONTENT_TYPE)


def _not_ready(reason: str) -> Response:
    return Response(503, json.dumps({"ready": False, "reason": reason}).encode())
