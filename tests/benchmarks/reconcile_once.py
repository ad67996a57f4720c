"""Compares one source once, in a process of its own, and prints how long it took and what memory it had."""

import asyncio
import json
import sys
import time
from datetime import datetime
from pathlib import Path

import structlog

from operations.log import Act
from operations.reconcile.run import Reconciliation, Wanted
from operations.servers import Servers
from operations.settings import Settings
from tests.support.stand_ins.listing import EventsApi, api_of


def peak_mib() -> float:
    """Return the largest memory that this process had. What `getrusage` says includes what started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def compare(redis_url: str, database_url: str, prefix: str, url: str, key: str, since: str) -> None:
    """Compare, and print the figures as one JSON document."""
    values = {"redis_url": redis_url, "database_url": database_url, "key_prefix": prefix}
    settings = Settings.model_validate(values | {"CONSUMERS_METRICS_PORT": 0, "reconcile_grace_s": 0})
    reconciliation = Reconciliation(Servers(settings), api_of(EventsApi, url, key=key), Act("bench", "", "command"))
    before, began_s = peak_mib(), time.monotonic()
    report = await reconciliation.run(Wanted(since=datetime.fromisoformat(since)))
    figures = {
        "seconds": time.monotonic() - began_s, "cpu_s": time.process_time(), "listed": report.counts.listed,
        "missing": report.counts.missing, "before_mib": before, "peak_mib": peak_mib(),
    }  # fmt: skip
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(compare(*sys.argv[1:]))
