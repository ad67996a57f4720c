"""The pages for operators: the process lives, it can accept events durably now, its metrics."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from gateway.lifecycle import Lifecycle
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.problem import answer, json_answer
from gateway.redis_writer import RedisWriter
from runtime.durability import Guarantee

READY_AGE_S_MAX = 1.0
"""/readyz asks Redis again where the last check is older, so that a stranger cannot make it ask more often."""


class Health:
    """The three endpoints for operators."""

    def __init__(self, heads: Sequence[RedisWriter], metrics: Metrics, lifecycle: Lifecycle) -> None:
        """`heads`: one, or in a cluster one for each partition; while one of them takes events, others may have to."""
        self._heads = heads
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._checks: set[asyncio.Task[Guarantee | None]] = set()
        """Those under way, some of which nobody waits for any more."""

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the process lives. Redis does not matter here: a restart would not heal it."""
        return json_answer(200, {"alive": True})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 where an event posted now would be accepted durably, else 503 with the reason."""
        guarantee = await self._first_guarantee()
        if self._lifecycle.is_draining:
            return _not_ready("the gateway is being stopped")
        if guarantee is None:
            return _not_ready(self._heads[0].reason)
        ready = {"ready": True, "reason": None, "durability": guarantee.durability}
        return json_answer(200, {**ready, "proof": guarantee.confirmation.value})

    async def _first_guarantee(self) -> Guarantee | None:
        """Return the first guarantee that a check brings. A server that does not answer is not waited for then."""
        checks = [asyncio.create_task(_check(head)) for head in self._heads]
        self._checks.update(checks)
        for check in checks:
            check.add_done_callback(self._checks.discard)
        for earliest in asyncio.as_completed(checks):
            if guarantee := await earliest:
                return guarantee
        return None

    async def metrics(self, _request: web.Request) -> web.Response:
        """Return the metrics in Prometheus' text format."""
        return answer(200, self._metrics.render(), CONTENT_TYPE)


async def _check(head: RedisWriter) -> Guarantee | None:
    await head.check(READY_AGE_S_MAX)
    return head.guarantee


def _not_ready(reason: str) -> web.Response:
    return json_answer(503, {"ready": False, "reason": reason})
