"""The bytes, headers and trace of one event, from wherever they are: Postgres, its dead letter, or the stream."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contract.event import EnvelopeError, Event, from_fields
from operations.why.model import EventDetails, Subject
from runtime.tracing import trace_id_in, trace_id_of
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

CONTENT = load("event_content")

DEAD_LETTERS_MAX = 10
"""Dead letters of one event that are shown with their tracebacks."""


@dataclass(frozen=True, slots=True)
class EventContent:
    """What an event carries. `body` is None if its bytes are not kept any more."""

    source: str = ""
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    """The trace of its delivery, 32 hexadecimal digits; None if it is not known."""
    tracebacks: Mapping[int, str] = field(default_factory=dict)
    """By the number of the dead letter."""


async def read_content(connection: "Connection", subject: Subject) -> EventContent:
    """Read what Postgres has of an event: its payload, else that of its latest dead letter."""
    names = {"namespace": subject.namespace, "event_id": subject.id}
    payload = await connection.fetchrow(*CONTENT.bind("read_payload", **names))
    rows = await connection.fetch(*CONTENT.bind("read_tracebacks", **names, limit=DEAD_LETTERS_MAX))
    tracebacks = {row["id"]: row["traceback"] for row in rows}
    event = await _read_dead_event(connection, rows[0]["id"]) if rows else None
    trace_id = trace_id_in(event.traceparent) if event else None
    if payload is not None:
        headers = json.loads(payload["headers"])
        trace_id = trace_id_of(headers) or trace_id
        return EventContent(payload["source"], payload["body"], headers, trace_id, tracebacks)
    if event is not None:
        return EventContent(event.source, event.body, event.headers, trace_id, tracebacks)
    return EventContent(tracebacks=tracebacks)


def with_stream(content: EventContent, details: EventDetails) -> EventContent:
    """Add what only the event's entry in the stream has."""
    entries = details.readable_entries
    if not entries:
        return content
    event = entries[-1].event
    trace_id = content.trace_id or trace_id_in(event.traceparent)
    if content.body is not None:
        return EventContent(content.source, content.body, content.headers, trace_id, content.tracebacks)
    return EventContent(event.source, event.body, event.headers, trace_id, content.tracebacks)


async def _read_dead_event(connection: "Connection", dead_letter_id: int) -> Event | None:
    rows = await connection.fetch(*CONTENT.bind("read_dead_letter_fields", id=dead_letter_id))
    try:
        return from_fields({row["name"]: row["value"] for row in rows})
    except EnvelopeError:
        return None
