"""A worker without work: it counts, answers for its health, and gets stuck as told.

A program of its own, started by its path: `stand_in_worker.py <how> <port> <progress limit, s> <events to count>`.
"""

import asyncio
import re
import sys
import threading

from consumers.health import Progress, serve
from consumers.metrics import Metrics
from consumers.settings import Settings

PULSE_S = 0.02


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
        if how == "asleep":
            threading.Event().wait()
        elif how == "in C":
            re.match(r"(a+)+$", "a" * 64 + "b")
        elif how != "idle":
            pulse(progress, how)
        await asyncio.Event().wait()


def pulse(progress: Progress, how: str) -> None:
    """A sign of life, again and again."""
    if how == "in an outage":
        progress.waiting_for("Redis: connection refused")
    else:
        progress.made("a batch")
    asyncio.get_running_loop().call_later(PULSE_S, pulse, progress, how)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
