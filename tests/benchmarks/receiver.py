"""`python -m tests.benchmarks.receiver PORT`: a receiver of spans by OTLP/HTTP, and how many requests it received."""

import asyncio
import signal
import sys

import uvloop
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from stack.ports import HOST

BODY_BYTES_MAX = 64 * 1024 * 1024


async def serve(port: int) -> None:
    """Until SIGTERM."""
    received = {"spans": 0}
    answer = ExportTraceServiceResponse().SerializeToString()

    async def receive(request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        received["spans"] += sum(len(scope.spans) for of in message.resource_spans for scope in of.scope_spans)
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def count(_: web.Request) -> web.Response:
        return web.json_response(received)

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    application = web.Application(client_max_size=BODY_BYTES_MAX)
    application.router.add_post("/v1/traces", receive)
    application.router.add_get("/count", count)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
