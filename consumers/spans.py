"""A worker's spans: one around each batch, one for each attempt of an event, and one for each call of a handler."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Literal

from opentelemetry.trace import Span, SpanContext, SpanKind, use_span

from consumers.entry import Entry
from contract.event import Event
from contract.keys import GROUP, Keys
from runtime.tracing import OFF, TRACEPARENT, UNSAMPLED, Attributes, Tracing, ending, fail, read_traceparent

AroundCall = Callable[[str, Event], AbstractContextManager[object]]
"""Returns what is entered around the call of the handler with this name, for this event."""

SpanOutcome = Literal["applied", "duplicate", "dead", "retry", "not acknowledged", "left"]

NO_SPAN = nullcontext()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EventSpans:
    """The spans of one worker process. Nothing may be called while tracing is off (`is_on`), but for `work_as`.

    The span of an event begins when the gateway received it, and ends with what became of this attempt. Its parent is
    the gateway's span, also for the worker that takes over from one that died: all attempts are in one trace.
    """

    def __init__(self, tracing: Tracing = OFF, keys: Keys | None = None) -> None:
        keys = keys or Keys()
        self.is_on = tracing.is_on
        self._tracing = tracing
        self._name = f"process {keys.events}"
        self._attributes: dict[str, str] = {
            "messaging.system": "redis",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": keys.events,
            "messaging.destination.partition.id": str(keys.partition),
            "messaging.consumer.group.name": GROUP,
        }
        self._open: dict[str, Span] = {}
        self._committed: dict[str, Span] = {}

    def work_as(self, consumer: str) -> None:
        """Work under another lease: spans of the one before are lost with its entries."""
        self._attributes["messaging.client.id"] = consumer
        self._open.clear()
        self._committed.clear()

    def batch(self, entries: Sequence[Entry]) -> AbstractContextManager[None]:
        """Return the span around the work on a batch, linked to the gateway's span of each event."""
        contexts = [_context(entry.event) for entry in entries if not _has_no_spans(entry)]
        if not contexts:
            return NO_SPAN
        attributes: Attributes = {**self._attributes, "messaging.batch.message_count": len(entries)}
        return self._tracing.batch(self._name, SpanKind.CONSUMER, attributes, contexts)

    def begin(self, entries: Sequence[Entry]) -> None:
        """Begin the spans of entries that are tried now, unless they are open already."""
        for entry in entries:
            if not _has_no_spans(entry) and entry.entry_id not in self._open and (span := self._new(entry)):
                self._open[entry.entry_id] = span

    def _new(self, entry: Entry) -> Span | None:
        event, own = entry.event, _context(entry.event)
        if own is None and not self._tracing.begins_trace():
            return None
        # Without a context of our gateway, which made no spans then, the provider's may be there: it is a link only.
        sent = None if own else read_traceparent(event.traceparent)
        return self._tracing.start(
            f"event {event.source}",
            SpanKind.CONSUMER,
            {
                **self._attributes,
                "messaging.message.id": entry.entry_id,
                "webhook.source": event.source,
                "webhook.event.id": event.event_id,
                "webhook.event.type": event.type,
                "webhook.attempt": entry.attempt,
            },
            parent=own,
            links=[sent] if sent else [],
            start_ns=min(time.time_ns(), (event.received_at - _EPOCH) // _MICROSECOND * 1000),
        )

    def claimed(self, entries: Sequence[Entry]) -> AroundCall | None:
        """Note that a transaction has claimed these events. Return what is around the calls of their handlers, if any
        of them has a span."""
        if not self._open:
            return None
        spans: dict[int, Span] = {}
        for entry in entries:
            if span := self._open.get(entry.entry_id):
                span.add_event("claimed")
                spans[id(entry.event)] = span
        return (lambda handler, event: self._call(handler, spans.get(id(event)))) if spans else None

    @contextmanager
    def _call(self, handler: str, of_event: Span | None) -> Iterator[None]:
        """Make a span around one call of a handler, in which spans of the handler's own are."""
        if of_event is None:
            yield
            return
        span = self._tracing.start(
            f"handler {handler}", SpanKind.INTERNAL, {"code.function.name": handler},
            parent=of_event.get_span_context(),
        )  # fmt: skip
        with ending(span), use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def committed(self, entries: Sequence[Entry]) -> None:
        """Note that the transaction of these entries is committed; they are in flight no longer."""
        for entry in entries if self._open else ():
            if span := self._open.pop(entry.entry_id, None):
                span.add_event("committed")
                self._committed[entry.entry_id] = span

    def acked(self, outcomes: Mapping[SpanOutcome, Sequence[Entry]]) -> None:
        """End the spans of entries that are acknowledged."""
        if not (self._open or self._committed):
            return
        for outcome, entries in outcomes.items():
            for entry in entries:
                if span := self._pop(entry.entry_id):
                    span.add_event("acked")
                    _end(span, outcome)

    def failed(self, entries: Sequence[Entry], outcome: SpanOutcome, error: BaseException | str) -> None:
        """End the spans of entries whose attempt failed."""
        for entry in entries:
            if span := self._pop(entry.entry_id):
                fail(span, error)
                _end(span, outcome)

    def keep(self, entry_ids: Collection[str]) -> None:
        """End the spans of entries that are not among these: other workers have them now."""
        for entry_id in self._open.keys() - set(entry_ids):
            _end(self._open.pop(entry_id), "left")

    def _pop(self, entry_id: str) -> Span | None:
        return self._committed.pop(entry_id, None) or self._open.pop(entry_id, None)


def _end(span: Span, outcome: SpanOutcome) -> None:
    span.set_attribute("webhook.outcome", outcome)
    span.end()


def _has_no_spans(entry: Entry) -> bool:
    """Return whether the gateway decided that there is no trace of this event: nothing more is done for it then."""
    return entry.event.traceparent == UNSAMPLED


def _context(event: Event) -> SpanContext | None:
    """Return the context of our gateway's span. `event.traceparent` may be the provider's, who chooses nothing here."""
    return read_traceparent(event.headers.get(TRACEPARENT, ""))
