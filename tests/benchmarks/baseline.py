"""`python -m tests.benchmarks.baseline NAME PORT REDIS_URL`: the handlers that the gateway is compared with.

bare    reads the body and answers 202: as fast as an aiohttp application can be
xadd    reads the body and awaits one XADD per request, as most webhook endpoints in front of a stream are written
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import web
from redis.asyncio import Redis

from stack.ports import HOST
from tests.support.events import signed_stripe, stripe_event

PATH = signed_stripe(stripe_event("evt_1", "pi_1")).path
STREAM = "baseline:events"
BACKLOG = 1024
REDIS_CONNECTIONS_MAX = 1024
"""More than there are requests at a time: none of them waits for a connection."""

Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]


async def bare(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(status=202)


def adding_to(redis: Redis) -> Answer:
    async def xadd(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        entry_id = await redis.xadd(STREAM, {"body": body})
        return web.json_response({"entry_id": str(entry_id)}, status=202)

    return xadd


def runner(name: str, redis: Redis) -> web.BaseRunner:
    """The handler of this name, made to be served."""
    application = web.Application()
    application.router.add_post(PATH, bare if name == "bare" else adding_to(redis))
    return web.AppRunner(application, access_log=None)


async def serve(name: str, port: int, redis_url: str) -> None:
    """Until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Redis.from_url(redis_url, decode_responses=True, max_connections=REDIS_CONNECTIONS_MAX) as redis:
        made = runner(name, redis)
        await made.setup()
        await web.TCPSite(made, HOST, port, backlog=BACKLOG).start()
        await stopping.wait()
        await made.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
