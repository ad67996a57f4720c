"""A receiver of spans by OTLP/HTTP: a real server, which reads what the SDK sends."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from stack.ports import HOST

SEND_LATE = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
"""Spans are sent when their program ends."""

Behaviour = Literal["receives", "hangs", "refuses"]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it was received. Ids are hexadecimal; `parent` is "" for the first of a trace."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    links: list[tuple[str, str]]
    attributes: Mapping[str, Any]
    events: list[str]
    start_ns: int
    end_ns: int
    is_error: bool


@dataclass
class OtlpReceiver:
    """What was received so far, and how the receiver behaves."""

    behaviour: Behaviour
    url: str = ""
    requests: int = 0
    spans: list[ReceivedSpan] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """The setting by which programs send their spans here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url}

    def named(self, name: str) -> list[ReceivedSpan]:
        """Return the spans with this name, in the order of their start."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_ns)

    def one(self, name: str) -> ReceivedSpan:
        """Return the only span with this name."""
        (span,) = self.named(name)
        return span

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        if self.behaviour == "hangs":
            await asyncio.Event().wait()
        if self.behaviour == "refuses":
            return web.Response(status=503)
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(of_resource.resource.attributes)["service.name"]
            self.spans += [_read(service, span) for scope in of_resource.scope_spans for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")


@asynccontextmanager
async def receiver(behaviour: Behaviour = "receives") -> AsyncIterator[OtlpReceiver]:
    """A receiver on a port of its own while the block lasts."""
    received = OtlpReceiver(behaviour)
    application = web.Application()
    application.router.add_post("/v1/traces", received.receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        received.url = f"http://{host}:{port}"
        yield received
    finally:
        await runner.cleanup()


def _read(service: str, span: trace_pb2.Span) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        attributes=_values(span.attributes),
        events=[event.name for event in span.events],
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
