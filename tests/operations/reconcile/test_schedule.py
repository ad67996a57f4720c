"""Sources are compared by their `reconcile_every`, by one program at a time; the program ends when it is asked to."""

import asyncio
from datetime import timedelta

import pytest

from operations.reconcile import schedule
from operations.reconcile.schedule import ACTOR, Schedule
from tests.support.reconciling import EVENTS, Reconciler
from tests.support.wait import until

ACTS = "SELECT actor, reason, touched FROM operations"


@pytest.fixture
def hourly(reconciler: Reconciler) -> Reconciler:
    reconciler.access |= {"reconcile_every": "1h"}
    reconciler.listing.add(*EVENTS)
    return reconciler


def schedule_of(reconciler: Reconciler) -> Schedule:
    return Schedule(reconciler.servers, {"stripe": reconciler.api()})


async def test_a_source_that_is_due_is_compared_once_and_again_after_its_time(hourly: Reconciler) -> None:
    assert await schedule_of(hourly).run_once() == 0
    row = await hourly.row()
    assert (row.listed, row.missing, row.repaired) == (6, 6, 0)
    assert row.succeeded_at
    assert row.next_at
    assert timedelta(minutes=50) < row.next_at - row.succeeded_at < timedelta(minutes=70)
    pages = hourly.listing.pages
    assert await schedule_of(hourly).run_once() == 0
    assert hourly.listing.pages == pages
    await hourly.workers.connection.execute("UPDATE reconciliations SET next_at = now()")
    await schedule_of(hourly).run_once()
    row = await hourly.row()
    assert (row.listed, row.open_missing) == (0, 6)  # they happened before what is read again


async def test_a_schedule_repairs_where_the_source_says_so(hourly: Reconciler) -> None:
    hourly.access |= {"reconcile_repair": True}
    assert await schedule_of(hourly).run_once() == 1, "of which account is the list?"
    await hourly.workers.connection.execute("UPDATE reconciliations SET next_at = now()")
    await hourly.arrive(EVENTS[5])
    await schedule_of(hourly).run_once()
    assert await hourly.workers.rows(ACTS) == [(ACTOR, "reconcile_every of [stripe]", 5)]
    await hourly.drain()
    assert len(await hourly.workers.events()) == 6


async def test_of_several_programs_one_compares(hourly: Reconciler) -> None:
    hourly.access |= {"reconcile_repair": True}
    await hourly.workers.stream.publish(EVENTS[0])
    hourly.listing.gate.clear()
    running = [asyncio.create_task(schedule_of(hourly).run_once()) for _ in range(3)]

    async def is_asked() -> bool:
        return bool(hourly.listing.requests) and sum(task.done() for task in running) == 2

    await until(is_asked, what="one asks and the others have left it")
    hourly.listing.gate.set()
    assert await asyncio.gather(*running) == [0, 0, 0]
    assert len(await hourly.workers.rows(ACTS)) == 1


async def test_a_failure_is_recorded_and_stops_no_other_source(hourly: Reconciler) -> None:
    refused = Reconciler(
        hourly.workers, hourly.listing, access={"source": "other", "reconcile_every": "1h", "key": "sk_test_x"}
    )
    both = Schedule(hourly.servers, {"other": refused.api(), "stripe": hourly.api()})
    assert await both.run_once() == 1
    rows = await hourly.workers.rows("SELECT source, refused, failures, missing FROM reconciliations ORDER BY source")
    assert rows == [("other", True, 1, 0), ("stripe", False, 0, 6)]


async def test_a_running_schedule_looks_again_until_it_is_ended(
    hourly: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LOOK_EVERY_S", 0.01)
    hourly.listing.gate.clear()
    running = asyncio.create_task(schedule_of(hourly).run())

    async def is_asked() -> bool:
        return bool(hourly.listing.requests)

    await until(is_asked, what="the list is asked for")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    hourly.listing.gate.set()
    row = await hourly.row()
    assert (row.claimed_by, row.failure) == (None, None)
    assert await schedule_of(hourly).run_once() == 0
