"""The gateway's spans: one for each request to a source, and one for each exchange that publishes a batch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.trace import Span, SpanKind

from contract.event import FIELD_NAMES
from contract.keys import Partitions
from providers.base import Delivery
from runtime.tracing import (
    TRACEPARENT,
    UNSAMPLED,
    Attributes,
    Tracing,
    fail,
    read_traceparent,
    trace_id_in,
    traceparent_of,
)

TRACEPARENT_FIELD = FIELD_NAMES.index("traceparent")

ROUTE = "/webhooks/{source}"


NO_SPAN = nullcontext()


class RequestSpan:
    """The span of one request, None if its trace has no spans. A refused request's is sent only where the refusal is
    logged: strangers displace nothing.
    """

    __slots__ = ("_is_sent", "_span", "_traceparent")

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self._is_sent = True
        is_sampled = span is not None and span.get_span_context().trace_flags.sampled
        self._traceparent = traceparent_of(span) if span is not None and is_sampled else UNSAMPLED

    def carry(self, deliveries: Sequence[Delivery]) -> None:
        """Have verified events carry this span's context in place of the provider's, which becomes a link.

        An outsider must choose neither our trace ids nor what is sampled.
        """
        own = self._traceparent
        if own == UNSAMPLED:
            for delivery in deliveries:
                delivery.event.traceparent = UNSAMPLED
            return
        if self._span and deliveries and (sent := read_traceparent(deliveries[0].event.traceparent)):
            self._span.add_link(sent)
        for delivery in deliveries:
            event = delivery.event  # nobody else has it yet: a copy would be checked once more
            event.traceparent = own
            event.headers = {**event.headers, TRACEPARENT: own}

    @property
    def trace_id(self) -> str | None:
        """The trace id, for a line of the log."""
        return trace_id_in(self._traceparent)

    def refused(self, reason: str, status: int, *, is_logged: bool) -> None:
        """Note why the request was refused."""
        if self._span is None:
            return
        self._span.set_attribute("webhook.refused", reason)
        if status >= 500:
            fail(self._span, reason)
        self._is_sent = is_logged

    def end(self, status: int) -> None:
        """End the span with the answer's status."""
        if self._span and self._is_sent:
            self._span.set_attribute("http.response.status_code", status)
            self._span.end()


NO_REQUEST_SPAN = RequestSpan(None)
"""Stands for every request that has no trace."""


class RequestSpans:
    """Makes the spans of one source's requests."""

    def __init__(self, tracing: Tracing, source: str) -> None:
        self._tracing = tracing
        self._attributes = {
            "http.request.method": "POST",
            "http.route": ROUTE,
            "webhook.source": source,
        }

    def begin(self, path: str, scheme: str) -> RequestSpan:
        """Begin the span of a request."""
        if not self._tracing.begins_trace():
            return NO_REQUEST_SPAN
        attributes = {**self._attributes, "url.path": path, "url.scheme": scheme}
        return RequestSpan(self._tracing.start(f"POST {ROUTE}", SpanKind.SERVER, attributes))


class SendSpans:
    """Makes the spans of exchanges that publish batches."""

    def __init__(self, tracing: Tracing, partitions: Partitions) -> None:
        first, *others = partitions.all
        destination = first.events.replace("{0}", "{*}") if others else first.events
        self._tracing = tracing
        self._name = f"send {destination}"
        self._attributes = {
            "messaging.system": "redis",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": destination,
        }
        if not others:
            self._attributes["messaging.destination.partition.id"] = str(first.partition)

    def of(self, batch: Sequence[tuple[str | bytes, ...]]) -> AbstractContextManager[None]:
        """Return the span around an exchange that publishes these entries' values."""
        sampled = [text for values in batch if (text := str(values[TRACEPARENT_FIELD])) != UNSAMPLED]
        if not sampled:
            return NO_SPAN
        attributes: Attributes = {**self._attributes, "messaging.batch.message_count": len(batch)}
        return self._tracing.batch(self._name, SpanKind.CLIENT, attributes, list(map(read_traceparent, sampled)))
