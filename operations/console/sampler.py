"""The task that samples the counters while the console runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from aiohttp import web

from operations.console.site import SITE, Reading, Site
from operations.overview import SAMPLE_EVERY, LastHour, Sample, count_dead_letters, read_counters
from operations.reader import Reader
from sql.connect import UnreachableError

LAST_HOUR: web.AppKey[LastHour] = web.AppKey("last_hour", LastHour)

STOP_S = 5.0
"""How long the last sample may take when the console stops."""

log = structlog.get_logger()


async def sampling(app: web.Application) -> AsyncIterator[None]:
    """Sample from the application's start to its end. What cannot be read is a gap, and never stops the console."""
    stopping = asyncio.Event()
    task = asyncio.create_task(_sample_until(stopping, app[SITE], app[LAST_HOUR]))
    yield
    stopping.set()
    await asyncio.wait([task], timeout=STOP_S)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def take_sample(site: Site) -> Sample:
    """Read the counters now."""
    added, acked, dead_letters = None, None, None
    try:
        async with site.redis() as redis:
            added, acked = await read_counters(redis, site.servers.keys)
    except UnreachableError as error:
        log.debug("the stream was not sampled", error=str(error))
    try:
        async with Reading(site, Reader(site.servers)).postgres() as connection:
            dead_letters = await count_dead_letters(connection)
    except UnreachableError as error:
        log.debug("the dead letters were not sampled", error=str(error))
    return Sample(datetime.now(UTC), added, acked, dead_letters)


async def _sample_until(stopping: asyncio.Event, site: Site, last_hour: LastHour) -> None:
    while not stopping.is_set():
        try:
            last_hour.samples.append(await take_sample(site))
        except Exception:
            log.exception("a sample failed; the next one is tried")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), SAMPLE_EVERY.total_seconds())
