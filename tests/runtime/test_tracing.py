"""When spans are made, what is an error at the start, and what is read from a trace context."""

import importlib.util
import logging
import threading
import time
from collections.abc import Mapping
from importlib.machinery import ModuleSpec

import pytest
from opentelemetry.trace import SpanKind
from structlog.testing import capture_logs

from runtime.tracing import (
    FLUSH_TIMEOUT_S,
    OFF,
    SeldomLog,
    Tracing,
    TracingError,
    check,
    is_configured,
    otel_settings,
    read_share,
    read_traceparent,
    start,
    trace_id_of,
    traceparent_of,
)
from tests.support.processes import Programs
from tests.support.spans import Recorded, facts

RECEIVER = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
SAMPLED, UNSAMPLED = f"00-{'1' * 32}-{'2' * 16}-01", f"00-{'3' * 32}-{'4' * 16}-00"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "payments", "OTEL_TRACES_SAMPLER": "always_on"},
        RECEIVER | {"OTEL_SDK_DISABLED": "TRUE"},
        RECEIVER | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_no_spans_are_made_unless_a_receiver_is_named(environment: Mapping[str, str]) -> None:
    assert not is_configured(environment)
    check(environment)
    assert start("gateway", environment) is OFF
    with pytest.raises(RuntimeError, match="tracing is off"):
        OFF.start("a span", SpanKind.INTERNAL, {})


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "ENDPOINT: it is not an address that begins with http"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[hush"}, "TRACES_ENDPOINT: it is not an address"),
        (RECEIVER | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "PROTOCOL: spans are sent by http/protobuf only"),
    ],
)
def test_a_receiver_that_cannot_be_used_is_named_at_the_start(environment: Mapping[str, str], problem: str) -> None:
    with pytest.raises(TracingError, match=problem) as raised:
        start("gateway", environment)
    assert "hush" not in str(raised.value)


def test_missing_packages_are_an_error_only_where_spans_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name == "opentelemetry.sdk" else importlib.util.find_spec(name)

    monkeypatch.setattr("runtime.tracing.find_spec", found)
    check({})
    with pytest.raises(TracingError, match=r"pip install 'payment-webhooks\[tracing\]'"):
        check(RECEIVER)


async def test_a_program_says_what_is_wrong_and_does_not_start(programs: Programs) -> None:
    env = {"REDIS_URL": "redis://nowhere", "DATABASE_URL": "postgresql://nowhere/x"}
    (programs.folder / ".env").write_text("OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317\n")
    code, _, errors = await programs.run("consumers", env)
    assert (code, "OTEL_EXPORTER_OTLP_ENDPOINT: it is not an address" in errors) == (2, True)


def test_only_names_of_opentelemetry_reach_the_sdk() -> None:
    environment = RECEIVER | {"OTEL_SERVICE_NAME": "", "WEBHOOK_SECRET": "hush"}
    assert otel_settings(environment) == RECEIVER


def test_a_trace_context_is_read_as_it_was_written() -> None:
    span = Recorded().tracing.start("a", SpanKind.INTERNAL, {})
    context = read_traceparent(traceparent_of(span))
    assert context is not None
    assert (context.trace_id, context.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert context.is_remote
    assert trace_id_of({"traceparent": SAMPLED}) == "1" * 32


@pytest.mark.parametrize("text", ["", "00-x", f"00-{'0' * 32}-{'1' * 16}-01", f"01-{'1' * 32}-{'2' * 16}-01"])
def test_an_invalid_trace_context_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_batch_is_in_the_trace_of_its_first_sampled_event_and_links_the_others() -> None:
    recorded = Recorded()
    contexts = [None, read_traceparent(UNSAMPLED), read_traceparent(SAMPLED), read_traceparent(SAMPLED)]
    with recorded.tracing.batch("send", SpanKind.CLIENT, {}, contexts):
        assert recorded.names == []
    (span,) = recorded.named("send")
    assert span.parent == contexts[2]
    assert [link.context for link in span.links] == contexts[2:]


def test_a_batch_without_a_sampled_event_has_no_span() -> None:
    recorded = Recorded()
    with recorded.tracing.batch("send", SpanKind.CLIENT, {}, [read_traceparent(UNSAMPLED), None]):
        pass
    assert recorded.names == []


def test_an_error_is_named_without_its_text() -> None:
    recorded = Recorded()
    with (
        pytest.raises(ValueError, match="jane"),
        recorded.tracing.batch("send", SpanKind.CLIENT, {}, [read_traceparent(SAMPLED)]),
    ):
        raise ValueError("jane@example.com")
    (span,) = recorded.named("send")
    assert facts(span)["error.type"] == "ValueError"
    assert "jane" not in span.to_json()


def test_a_program_that_ends_waits_for_its_last_spans_within_a_limit() -> None:
    never = threading.Event()
    began_s = time.monotonic()

    def close() -> None:
        never.wait()

    Tracing(close=close).stop()
    assert FLUSH_TIMEOUT_S <= time.monotonic() - began_s < 2 * FLUSH_TIMEOUT_S
    never.set()


def test_what_the_sdk_complains_of_is_logged_now_and_then_without_a_password() -> None:
    handler = SeldomLog()
    record = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "no answer of http://me:hush@receiver/"})
    with capture_logs() as lines:
        for _ in range(100):
            handler.handle(record)
    (line,) = lines
    assert line["reason"] == "no answer of http://receiver/"


@pytest.mark.parametrize(
    ("sampler", "argument", "share"),
    [
        ("parentbased_traceidratio", "0.01", 0.01),
        ("traceidratio", "1", 1.0),
        ("parentbased_traceidratio", "2", None),
        ("traceidratio", "some", None),
        ("always_off", "0.5", None),
        ("", "0.5", None),
    ],
)
def test_the_share_of_traces_is_read_where_the_sampler_draws_lots(
    sampler: str, argument: str, share: float | None
) -> None:
    environment = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert read_share(environment) == share


def test_lots_are_drawn_for_each_trace() -> None:
    drawn = [Recorded(share=0.25).tracing.begins_trace() for _ in range(2000)]
    assert 0.15 < sum(drawn) / len(drawn) < 0.35
