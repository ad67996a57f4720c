"""The pages for operators: the process lives, it can accept events durably now, its metrics."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from gateway.lifecycle import Lifecycle
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.problem import answer, json_answer
from gateway.redis_writer import RedisWriter

READY_AGE_S_MAX = 1.0
"""/readyz asks Redis again where the last check is older, so that a stranger cannot make it ask more often."""


class Health:
    """The three endpoints for operators."""

    def __init__(self, heads: Sequence[RedisWriter], metrics: Metrics, lifecycle: Lifecycle) -> None:
        """`heads`: one, or in a cluster one for each partition; while one of them takes events, others may have to."""
        self._heads = heads
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the process lives. Redis does not matter here: a restart would not heal it."""
        return json_answer(200, {"alive": True})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 where an event posted now would be accepted durably, else 503 with the reason."""
        await asyncio.gather(*(head.check(READY_AGE_S_MAX) for head in self._heads))
        guarantee = next((head.guarantee for head in self._heads if head.guarantee), None)
        if self._lifecycle.is_draining:
            return _not_ready("the gateway is being stopped")
        if guarantee is None:
            return _not_ready(self._heads[0].reason)
        ready = {"ready": True, "reason": None, "durability": guarantee.durability}
        return json_answer(200, {**ready, "proof": guarantee.confirmation.value})

    async def metrics(self, _request: web.Request) -> web.Response:
        """Return the metrics in Prometheus' text format."""
        return answer(200, self._metrics.render(), CONTENT_TYPE)


def _not_ready(reason: str) -> web.Response:
    return json_answer(503, {"ready": False, "reason": reason})
