"""Any of a story's webhooks are lost, repeated or late, and it is reconciled at any time: the rows are those of all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.handlers.payments import builtin
from contract.event import Event
from tests.support.books import empty_books
from tests.support.reconciling import NOW, Reconciler
from tests.support.reported_histories import PROVIDERS, TRUST, History, assert_model, histories
from tests.support.stand_ins.listing import Entry

SHARE = 0.1
"""The share of the profile's examples, for each provider: each of them runs workers and a server."""

OWN_TABLES = "TRUNCATE reconciliations, reconcile_findings"


@dataclass(frozen=True, slots=True)
class Way:
    """What happens, in this order: events that arrive, by their places in the list, or None: somebody reconciles."""

    history: History
    listed: list[Event]
    steps: list[int | None]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Show a failing example: what arrived, and when it was reconciled."""
        steps = [self.listed[step].event_id if step is not None else "reconcile" for step in self.steps]
        printer.text(f"{self.history.lives}, listed {[each.event_id for each in self.listed]}, then {steps}")


@st.composite
def every_way(draw: st.DrawFn, provider: str) -> Way:
    """Draw a history, which of its events arrive, in which order, and when it is reconciled."""
    history = draw(histories(PROVIDERS[provider]))
    listed = recent(list({event.event_id: event for batch in history.ways[0] for event in batch}.values()))
    places = st.integers(0, len(listed) - 1)
    steps: list[int | None] = [*draw(st.lists(places, max_size=len(listed) + 3))]
    for _ in range(draw(st.integers(0, 2))):
        steps.insert(draw(st.integers(0, len(steps))), None)
    return Way(history, listed, steps)


def recent(events: Sequence[Event]) -> list[Event]:
    """Return the events as if they had happened an hour ago, in the same order, some in one second."""
    times = sorted({event.occurred_at for event in events if event.occurred_at})
    return [
        replace(event, occurred_at=NOW - timedelta(hours=1) + timedelta(seconds=times.index(event.occurred_at)))
        if event.occurred_at else event
        for event in events
    ]  # fmt: skip


@settings(
    deadline=None, max_examples=max(3, round(settings().max_examples * SHARE)),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
@pytest.mark.parametrize("provider", ["stripe", "adyen"])
async def test_any_of_the_webhooks_and_reconcile_leave_the_rows_of_all(
    reconciler: Reconciler, provider: str, data: st.DataObject
) -> None:
    way = data.draw(every_way(provider))
    reconciler.access = {"source": provider, "provider": provider, "reconcile_types": ("*",)}
    reconciler.listing.entries = [Entry(event) for event in way.listed]
    workers = reconciler.workers
    try:
        async with workers.working(builtin(TRUST)):
            for step in way.steps:
                if step is None:
                    await reconciler.run(repair=True)
                else:
                    await workers.stream.publish(way.listed[step])
            await reconciler.run(repair=True)
            await workers.drained()
        await assert_model(workers.connection, way.history)
        assert set(await workers.events()) == {event.event_id for event in way.listed}
        await workers.assert_all_acked()
    finally:
        await workers.connection.execute(OWN_TABLES)
        await empty_books(workers.connection)
        names = await workers.redis.keys(f"{workers.keys.prefix}:*")
        await workers.redis.delete(*names)
