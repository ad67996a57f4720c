"""Spans of OpenTelemetry: off unless the standard OTEL_… names say where they go, and then never in the way of work.

The SDK and its exporter are imported only where spans are sent. They are sent by a thread of their own, from a queue
that drops the oldest: a receiver that hangs or is gone costs spans, and nothing else.
"""

import logging
import random
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from urllib.parse import urlsplit

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from runtime.version import version

TRACEPARENT = "traceparent"
"""The header of W3C Trace Context. Among an event's headers it is the context of the gateway's own span."""

FLUSH_TIMEOUT_S = 3.0
"""How long a program that ends waits until its last spans are sent."""

LINKS_MAX = 128
"""Links of one span, as the SDK limits them unless set otherwise; further ones are left out."""

LOG_EVERY_S = 60.0
"""How often it is logged at most that spans cannot be sent."""

REASON_CHARS_MAX = 300

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

UNSAMPLED = "unsampled"
"""What an event carries in place of a W3C trace context where our gateway decided that it has no trace."""

RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")
"""Samplers that decide by chance for each trace: here before any work, and not by the SDK after it."""

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_PASSWORD = re.compile(r"//[^/@\s]*@")

log = structlog.get_logger()

Attributes = Mapping[str, AttributeValue]


class TracingError(Exception):
    """Spans are wanted and cannot be made. The message is a sentence, without the value of a setting."""


class Tracing:
    """The spans of one program. Where `is_on` is false, callers make none.

    `share`: how many traces are wanted of all that begin here. A caller asks `begins_trace` before it does any work.
    """

    def __init__(
        self, tracer: Tracer | None = None, close: Callable[[], None] = lambda: None, *, share: float = 1.0
    ) -> None:
        self.is_on = tracer is not None
        self._tracer = tracer
        self._close = close
        self._share = share

    def begins_trace(self) -> bool:
        """Decide whether what begins now has a trace. A sampler of the SDK that has another rule decides too."""
        return self._share >= 1 or random.random() < self._share  # noqa: S311 -- nothing secret

    def start(
        self, name: str, kind: SpanKind, attributes: Attributes, *, parent: SpanContext | None = None,
        links: Sequence[SpanContext] = (), start_ns: int | None = None,
    ) -> Span:  # fmt: skip
        """Return a new span, a trace of its own without a `parent`. The caller ends it."""
        if self._tracer is None:
            raise RuntimeError("no span is made while tracing is off")
        context = set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()
        return self._tracer.start_span(
            name, context, kind, attributes, [Link(each) for each in links], start_ns, record_exception=False
        )

    @contextmanager
    def batch(
        self, name: str, kind: SpanKind, attributes: Attributes, contexts: Sequence[SpanContext | None]
    ) -> Iterator[None]:
        """Make a span around work on a batch, linked to each sampled context, and in the trace of the first of them.

        It is sampled as they were: without one of them there is no span. An error that leaves the block is named in it.
        """
        sampled = [each for each in contexts if each is not None and each.trace_flags.sampled][:LINKS_MAX]
        if not sampled:
            yield
            return
        with ending(self.start(name, kind, attributes, parent=sampled[0], links=sampled)):
            yield

    def stop(self) -> None:
        """Send the last spans, for FLUSH_TIMEOUT_S at most. Blocks: no event loop may run any more."""
        closing = threading.Thread(target=self._close, name="last spans", daemon=True)
        closing.start()
        closing.join(FLUSH_TIMEOUT_S)


OFF = Tracing()
"""No spans."""


@contextmanager
def ending(span: Span) -> Iterator[None]:
    """End a span with the block. An error that leaves the block is named in it."""
    try:
        yield
    except BaseException as error:
        fail(span, error)
        raise
    finally:
        span.end()


def fail(span: Span, error: BaseException | str) -> None:
    """Name the kind of an error in a span. Its text stays out: it may quote what a provider sent."""
    name = error if isinstance(error, str) else type(error).__name__.removeprefix("_")
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR))


def traceparent_of(span: Span) -> str:
    """Return the W3C trace context of a span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def read_traceparent(text: str) -> SpanContext | None:
    """Return the span that a W3C trace context names; None without a valid one."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


def trace_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the trace id that the gateway gave an event with these headers; None where it made no spans."""
    return trace_id_in(headers.get(TRACEPARENT, ""))


def trace_id_in(text: str) -> str | None:
    """Return the trace id of a W3C trace context; None without a valid one."""
    context = read_traceparent(text)
    return f"{context.trace_id:032x}" if context else None


def otel_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the standard names of OpenTelemetry that are set, for the SDK, which reads them from the environment."""
    return {name: value for name, value in environment.items() if name.startswith("OTEL_") and value}


def is_configured(environment: Mapping[str, str]) -> bool:
    """Return whether spans are to be sent."""
    is_disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_dropped = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return not (is_disabled or is_dropped) and any(environment.get(name) for name in ENDPOINTS)


def check(environment: Mapping[str, str]) -> None:
    """Raise TracingError where spans are to be sent and cannot be: known before anything is started."""
    if not is_configured(environment):
        return
    for name in ENDPOINTS:
        if environment.get(name) and not _is_http(environment[name]):
            raise TracingError(f"{name}: it is not an address that begins with http:// or https://")
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), PROTOCOL)
    if protocol != PROTOCOL:
        raise TracingError(f"{PROTOCOLS[1]}: spans are sent by {PROTOCOL} only, at port 4318 of most receivers")
    if not all(map(_is_installed, PACKAGES)):
        raise TracingError(
            "an OTEL_EXPORTER_OTLP_…ENDPOINT is set, but the packages that send spans are not installed: run"
            " `pip install 'payment-webhooks[tracing]'`, or unset it"
        )


def start(program: str, environment: Mapping[str, str]) -> Tracing:
    """Return the spans of a program, `gateway` or `consumers`; OFF unless they are configured. Raise TracingError.

    To be called in the process that makes the spans, because a thread is started.
    """
    check(environment)
    if not is_configured(environment):
        return OFF
    # Only now: who sends no spans needs neither the packages nor the memory for them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased  # noqa: PLC0415

    ours: dict[str, AttributeValue] = {
        "service.name": f"payment-webhooks-{program}",
        "service.version": version(),
        "service.instance.id": str(uuid.uuid4()),
        "host.name": socket.gethostname(),
    }
    chosen = OTELResourceDetector().detect().attributes  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
    resource = Resource.create({name: value for name, value in ours.items() if name not in chosen})
    _log_seldom()
    share = read_share(environment)
    sampler = None if share is None else ParentBased(ALWAYS_ON)
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    log.info("spans are sent to an OTLP receiver", service=str(resource.attributes["service.name"]))
    tracer = provider.get_tracer("payment-webhooks", version())
    return Tracing(tracer, provider.shutdown, share=1.0 if share is None else share)


def read_share(environment: Mapping[str, str]) -> float | None:
    """Return the share of traces that OTEL_TRACES_SAMPLER wants; None if the SDK is to choose by another rule."""
    if environment.get("OTEL_TRACES_SAMPLER", "").strip().lower() not in RATIO_SAMPLERS:
        return None
    try:
        share = float(environment.get("OTEL_TRACES_SAMPLER_ARG", ""))
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


class SeldomLog(logging.Handler):
    """Logs one record of the SDK in LOG_EVERY_S: the last spans are not worth a line each."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next_s = 0.0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Log it, or count it."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._left_out += 1
            return
        reason = _PASSWORD.sub("//", record.getMessage())[:REASON_CHARS_MAX]
        log.warning("spans cannot be sent; work goes on without them", reason=reason, left_out=self._left_out)
        self._next_s, self._left_out = now_s + LOG_EVERY_S, 0


def _log_seldom() -> None:
    """Log what the SDK says now and then, in one form, and not at every batch of spans."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [SeldomLog()]
    logger.propagate = False


def _is_http(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a parent
        return False
