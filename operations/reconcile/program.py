"""Running the reconciler: until SIGTERM, or once."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from operations.reconcile.schedule import Schedule
from operations.servers import Servers
from providers.api import Api
from runtime.leaving import Leaving
from runtime.tasks import end

log = structlog.get_logger()


async def serve(servers: Servers, apis: Mapping[str, Api], on_ready: Callable[[], None]) -> None:
    """Compare by the schedule until SIGTERM or SIGINT. What is under way then is left, and begun again later.

    `on_ready` is called once it has begun.
    """
    stopping = asyncio.Event()
    Leaving(stopping.set, 0).on_signals()
    log.info("sources are compared with their providers' lists", sources=sorted(apis))
    task = asyncio.create_task(Schedule(servers, apis).run())
    on_ready()
    await stopping.wait()
    with suppress(asyncio.CancelledError):
        await end(task)


async def reconcile_once(servers: Servers, apis: Mapping[str, Api]) -> int:
    """Compare what is due once, for cron. Return the exit code."""
    return await Schedule(servers, apis).run_once()
