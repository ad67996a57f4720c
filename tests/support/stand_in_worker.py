"""A worker without work: it counts, answers its health checks, and gets stuck in the given way.

A program, started by its path: `stand_in_worker.py <how> <port> <progress limit, s> <events to count>`.
"""

import asyncio
import os
import re
import sys
import threading
from pathlib import Path

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
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    metrics, progress = Metrics(Path(folder) if folder else None), Progress()
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
    """Record progress, or an outage, periodically."""
    if how == "in an outage":
        progress.waiting_for("Redis: connection refused")
    else:
        progress.made("a batch")
    asyncio.get_running_loop().call_later(PULSE_S, pulse, progress, how)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
