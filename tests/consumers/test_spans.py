"""The spans of events and of their handlers, whatever becomes of them."""

import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from contract.event import Event
from runtime.tracing import UNSAMPLED, read_traceparent
from tests.support.consuming import POISON, Workers, failing
from tests.support.events import contract_event
from tests.support.spans import Recorded, facts
from tests.support.wait import until

EVENT = "event stripe"


def traced(number: int, event_id: str = "") -> Event:
    """An event as a gateway publishes it whose span has this number."""
    own = f"00-{number:032x}-{number:016x}-01"
    return contract_event(
        event_id or f"evt_{number}", f"pi_{number}", traceparent=own, headers={"traceparent": own}
    )  # fmt: skip


def of_event(recorded: Recorded, event_id: str) -> list[ReadableSpan]:
    return [span for span in recorded.named(EVENT) if facts(span)["webhook.event.id"] == event_id]


async def test_each_attempt_has_a_span_in_the_events_trace_with_what_became_of_it(workers: Workers) -> None:
    recorded, bad = Recorded(), traced(99, POISON)
    for number in range(1, 6):
        await workers.stream.publish(traced(number))
    again = await workers.stream.publish(traced(1))
    await workers.stream.publish(bad)
    async with workers.working(failing(), max_attempts=2, tracing=recorded.tracing):
        await workers.drained()
    assert (await workers.dead())[0][:3] == (POISON, "open", 2)
    (duplicate,) = [span for span in recorded.named(EVENT) if facts(span)["messaging.message.id"] == again]
    assert facts(duplicate)["webhook.outcome"] == "duplicate"
    failed = of_event(recorded, POISON)
    assert [facts(span)["webhook.outcome"] for span in failed] == ["retry", "dead"]
    for span in failed:
        assert (facts(span)["error.type"], span.status.is_ok) == ("ValueError", False)
        assert span.parent == read_traceparent(bad.traceparent)
        assert "moon" not in span.to_json()
    calls = recorded.named("handler failing.<locals>.fail")
    assert [facts(call).get("error.type") for call in calls if not call.status.is_ok].count("ValueError") >= 2
    for number in range(2, 6):
        (applied,) = of_event(recorded, f"evt_{number}")
        assert (facts(applied)["webhook.outcome"], applied.status.is_ok) == ("applied", True)
        assert [event.name for event in applied.events][-2:] == ["committed", "acked"]


async def test_a_batch_has_one_span_and_reading_nothing_has_none(workers: Workers) -> None:
    recorded = Recorded()
    for number in range(1, 11):
        await workers.stream.publish(traced(number))
    async with workers.working(tracing=recorded.tracing) as running:
        await workers.drained()
        polls = running.progress
        await until(lambda: polls is running.progress and workers.drained_now(), what="it goes on reading")
    batches = recorded.named(f"process {workers.keys.events}")
    assert sum(int(str(facts(batch)["messaging.batch.message_count"])) for batch in batches) == 10
    assert {link.context.span_id for batch in batches for link in batch.links} == set(range(1, 11))
    assert len(recorded.names) == len(batches) + 10


async def test_an_event_that_its_gateway_did_not_sample_has_no_span(workers: Workers) -> None:
    recorded = Recorded()
    await workers.stream.publish(contract_event("evt_1", "pi_1", traceparent=UNSAMPLED))
    async with workers.working(tracing=recorded.tracing):
        await workers.drained()
    assert recorded.names == []


async def test_a_provider_chooses_no_trace_where_the_gateway_made_no_spans(workers: Workers) -> None:
    recorded, sent = Recorded(), f"00-{'a' * 32}-{'b' * 16}-01"
    await workers.stream.publish(contract_event("evt_1", "pi_1", traceparent=sent))
    async with workers.working(tracing=recorded.tracing):
        await workers.drained()
    (span,) = recorded.named(EVENT)
    assert span.parent is None
    assert [link.context for link in span.links] == [read_traceparent(sent)]
    assert span.context.trace_id != int("a" * 32, 16)


async def test_spans_of_a_handlers_own_are_within_its_span_also_in_the_side_lane(workers: Workers) -> None:
    recorded, handlers = Recorded(), HANDLERS.joined_with(Handlers())
    within: list[int] = []

    @handlers.on("stripe", "payment_intent.succeeded")
    async def work_slowly(_: Connection, event: Event) -> None:
        if event.event_id == "evt_1":
            await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.1)
        within.append(trace.get_current_span().get_span_context().span_id)

    for number in (1, 2):
        await workers.stream.publish(traced(number))
    async with workers.working(handlers, tracing=recorded.tracing):
        await workers.drained()
    (slow,) = of_event(recorded, "evt_1")
    assert facts(slow)["webhook.outcome"] == "applied"
    name = "test_spans_of_a_handlers_own_are_within_its_span_also_in_the_side_lane.<locals>.work_slowly"
    calls = recorded.named(f"handler {name}")
    assert set(within) <= {call.context.span_id for call in calls}
    last = calls[-1]
    assert last.parent is not None
    assert last.parent.span_id == slow.context.span_id
