"""Who compares, when again, how far it came, and what a run may not do."""

import asyncio
from datetime import datetime, timedelta

import pytest

from operations.reconcile import repair, run
from operations.reconcile.errors import BusyError, NoRoomError, ReconcileError
from operations.reconcile.run import Reconciliation, Wanted
from operations.reconcile.store import Claim
from providers.api import ApiRefusedError, ApiUnavailableError
from tests.support.reconciling import ACT, EVENTS, NOW, SINCE, Reconciler
from tests.support.stand_ins.stand_in import status

ROWS = "SELECT event_id, origin, signed, source FROM events ORDER BY event_id"
OPERATIONS = "SELECT action, subject, actor, reason, touched, details->'events' FROM operations"


async def test_one_source_is_compared_by_one_program_at_a_time(reconciler: Reconciler) -> None:
    other = Claim(reconciler.workers.connection, "stripe", "stripe", "another program")
    assert await other.take(at_once=True)
    with pytest.raises(BusyError, match="another program compares it now"):
        await reconciler.run()
    await other.leave()
    await reconciler.run()


async def test_a_program_that_was_stopped_for_too_long_goes_on_no_more(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "RENEW_S", 0.01)
    reconciler.listing.add(*EVENTS)
    reconciler.listing.page_max = 1
    reconciliation = Reconciliation(reconciler.servers, reconciler.api(), ACT)
    taken = "UPDATE reconciliations SET claimed_by = 'another program' WHERE claimed_by IS NOT NULL"
    await reconciler.run()
    reconciler.listing.gate.clear()

    async def take() -> None:
        while not reconciliation.has_lost_its_claim:
            await reconciler.workers.connection.execute(taken)
        reconciler.listing.gate.set()

    taking = asyncio.create_task(take())
    with pytest.raises(ReconcileError, match="another one has gone on"):
        await reconciliation.run(Wanted(since=SINCE))
    await taking


async def test_credentials_that_are_refused_wait_for_a_person(reconciler: Reconciler) -> None:
    reconciler.access["key"] = "sk_test_wrong"
    with pytest.raises(ApiRefusedError):
        await reconciler.run(next_in=timedelta(minutes=1))
    row = await reconciler.row()
    assert row.refused
    assert row.next_at
    assert row.next_at - NOW > timedelta(minutes=50)
    assert "sk_test" not in str(row)


async def test_an_api_that_is_not_available_is_asked_again_when_it_says_so(reconciler: Reconciler) -> None:
    reconciler.listing.add(EVENTS[0])
    reconciler.listing.mishaps.append(status(429, Retry_After="1800"))
    with pytest.raises(ApiUnavailableError):
        await reconciler.run(next_in=timedelta(minutes=1))
    row = await reconciler.row()
    assert (row.failures, row.refused) == (1, False)
    assert row.next_at
    assert timedelta(minutes=29) < row.next_at - row.failed_at < timedelta(minutes=31)  # type: ignore[operator]
    await reconciler.run()
    assert ((await reconciler.row()).failures, (await reconciler.row()).failure) == (0, None)


async def test_a_repair_waits_for_room_and_adds_nothing_beyond_the_backlog_limit(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "ROOM_WAIT_S", 0.0)
    reconciler.settings["backlog_limit"] = 3
    await reconciler.workers.publish(3)
    reconciler.listing.add(*EVENTS[3:])
    with pytest.raises(NoRoomError, match="BACKLOG_LIMIT"):
        await reconciler.run(repair=True)
    assert len(await reconciler.workers.stream.entries()) == 3
    await reconciler.drain()
    assert (await reconciler.run(repair=True)).counts.repaired == 3


async def test_what_is_complete_grows_only_without_a_gap(reconciler: Reconciler) -> None:
    def ago(hours: float) -> datetime:
        return NOW - timedelta(hours=hours)

    await reconciler.run(since=ago(9), until=ago(8))
    report = await reconciler.run(since=ago(3), until=ago(2))
    assert report.complete_until == ago(8)
    assert "nobody knows what happened from" in report.notes[0]
    assert (await reconciler.run(since=ago(8), until=ago(2))).complete_until == ago(2)
    await reconciler.run(since=ago(1), until=ago(0.5), over_gaps=True)
    row = await reconciler.row()
    assert (row.compared_since, row.complete_until) == (ago(1), ago(0.5))


async def test_a_listing_that_ends_early_leaves_what_it_found_and_moves_nothing(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS)
    reconciler.listing.page_max = 4
    reconciler.listing.mishaps.extend([None, status(400)])
    with pytest.raises(Exception, match="400"):
        await reconciler.run()
    row = await reconciler.row()
    assert (row.open_missing, row.compared_until) == (4, None)
