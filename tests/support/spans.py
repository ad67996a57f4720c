"""Spans that stay in the test's own process."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from runtime.tracing import Tracing


class Recorded:
    """A tracing that is on, and the spans that have ended."""

    def __init__(self, sampler: Sampler | None = None, share: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("tests"), share=share)

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans with this name, in the order of their end."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    @property
    def names(self) -> list[str]:
        """The names of all spans, in the order of their end."""
        return [span.name for span in self._exporter.get_finished_spans()]


def facts(span: ReadableSpan) -> dict[str, object]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})
