"""The first page: what moves, what waits, and what needs a person."""

import asyncio
from datetime import UTC, datetime

from aiohttp import web

from operations.completeness import Completeness, read_completeness
from operations.console.chart import HEIGHT, WIDTH, charts, number
from operations.console.render import render
from operations.console.sampler import LAST_HOUR
from operations.console.site import Reading, reading
from operations.overview import COUNTED_MAX, SAMPLE_EVERY, Waiting, count_waiting
from operations.status import RedisStatus, read_redis_status
from operations.waiting_money import WaitingMoney, add_up_waiting_money
from sql.connect import UnreachableError

routes = web.RouteTableDef()


@routes.get("/")
async def show(request: web.Request) -> web.StreamResponse:
    """Show both servers, each even if the other one cannot be reached."""
    reach, last_hour = reading(request), request.app[LAST_HOUR]
    redis, waiting = await asyncio.gather(_read_redis(reach), _read_waiting(reach))
    return render(
        request,
        "overview.html",
        redis=redis if isinstance(redis, RedisStatus) else None,
        waiting=None if isinstance(waiting, str) else waiting[0],
        money=None if isinstance(waiting, str) else waiting[1],
        compared=[] if isinstance(waiting, str) else waiting[2],
        at=datetime.now(UTC),
        problems=[half for half in (redis, waiting) if isinstance(half, str)],
        running=redis.workers if isinstance(redis, RedisStatus) else None,
        since=last_hour.samples[0].at if last_hour.samples else None,
        every_s=int(SAMPLE_EVERY.total_seconds()),
        now=last_hour.now(),
        charts=charts(last_hour.rates(), datetime.now(UTC)),
        size=(WIDTH, HEIGHT),
        number=number,
        counted_max=COUNTED_MAX,
    )


@routes.get("/overview.json")
async def numbers(request: web.Request) -> web.StreamResponse:
    """Return the last hour as numbers: times in seconds since 1970, rates a second, null where nothing is known."""
    rates = request.app[LAST_HOUR].rates()
    at = [each.at.timestamp() for each in rates]
    shown = charts(rates, datetime.now(UTC))
    lines = {each.id: {"text": each.text, "lines": {line.name: line.values for line in each.lines}} for each in shown}
    return web.json_response({"every_s": SAMPLE_EVERY.total_seconds(), "at": at, "charts": lines})


async def _read_redis(reach: Reading) -> RedisStatus | str:
    try:
        async with reach.redis() as redis:
            return await read_redis_status(redis, reach.servers.keys)
    except UnreachableError as error:
        return f"{error}."


async def _read_waiting(reach: Reading) -> tuple[Waiting, WaitingMoney, list[Completeness]] | str:
    try:
        async with reach.postgres() as connection:
            return (
                await count_waiting(connection, reach.servers.keys),
                await add_up_waiting_money(connection),
                await read_completeness(connection, reach.servers.settings.sources_file),
            )
    except UnreachableError as error:
        return f"{error}."
