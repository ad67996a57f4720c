"""A worker without work: it counts, answers for its health, and gets stuck as told.

A program of its own, started by its path: `stand_in_worker.py <how> <port> <progress limit, s> <events to count>`.
"""

import asyncio
import re
import sys
import time

from consumers.health import Progress, serve
from consumers.metrics import Metrics
from consumers.settings import Settings

PULSE_S = 0.02
FOREVER_S = 3600


async def work(how: str, port: int, limit_s: float, events: int) -> None:
    settings = Settings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1",
            "database_url": "postgresql://127.0.0.1:1",
            "CONSUMERS_METRICS_PORT": port,
            "progress_limit_s": limit_s,
        }
    )
    metrics, progress = Metrics(), Progress()
    metrics.applied("stripe", events)
    metrics.batch(events, 0.01)
    async with serve(settings, metrics, progress):
        progress.made("a start")
        if how == "idle":
            await asyncio.Event().wait()
        elif how == "asleep":
            time.sleep(FOREVER_S)  # noqa: ASYNC251 - stuck on purpose
        elif how == "in C":
            re.match(r"(a+)+$", "a" * 64 + "b")
        while True:
            await asyncio.sleep(PULSE_S)
            if how == "in an outage":
                progress.waiting_for("Redis: connection refused")
            else:
                progress.made("a batch")


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
