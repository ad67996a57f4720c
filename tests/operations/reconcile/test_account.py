"""A repair adds nothing until something shows that the list is of the account whose events arrive here."""

from dataclasses import replace
from datetime import timedelta

import pytest

from operations.reconcile.acceptance import accept
from operations.reconcile.errors import UnknownAccountError
from tests.support.reconciling import ACT, EVENTS, NOW, Reconciler, happened
from tests.support.stand_ins.listing import OtherIdsApi

BEFORE = replace(happened(9), occurred_at=NOW - timedelta(days=3))
"""The last event that was delivered before an outage."""


async def entries(reconciler: Reconciler) -> int:
    return len(await reconciler.workers.stream.entries())


async def test_the_list_of_another_account_is_not_added(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS)
    await reconciler.arrive(BEFORE)  # which is not in it
    with pytest.raises(UnknownAccountError, match="nothing that is listed was known here"):
        await reconciler.run(repair=True, from_nothing=False)
    row = await reconciler.row()
    assert (await entries(reconciler), row.open_missing, row.compared_until, row.complete_until) == (0, 6, None, None)
    assert "FROM_NOTHING=1" in (row.failure or "")
    await accept(reconciler.workers.connection, "stripe", ["evt_5"], act=ACT)
    with pytest.raises(UnknownAccountError):  # what somebody has accepted to be missing has not arrived
        await reconciler.run(repair=True, from_nothing=False)
    report = await reconciler.run(repair=True, from_nothing=True)
    assert report.counts.repaired == 5
    reconciler.listing.add(happened(7))
    assert (await reconciler.run(repair=True, from_nothing=False)).counts.repaired == 1, "its own events are known now"


async def test_an_outage_of_which_everything_is_missing_is_repaired(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS, BEFORE)
    await reconciler.arrive(BEFORE)
    assert (await reconciler.run(repair=True, from_nothing=False)).counts.repaired == 6


async def test_a_delivery_of_another_id_shows_it_by_what_it_says(reconciler: Reconciler) -> None:
    reconciler.kind = OtherIdsApi
    reconciler.listing.add(EVENTS[0], BEFORE)
    await reconciler.arrive(replace(BEFORE, event_id="transmission-9"))
    assert (await reconciler.run(repair=True, from_nothing=False)).counts.repaired == 1


async def test_a_report_needs_no_proof_and_one_known_event_is_enough(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS)
    assert (await reconciler.run(from_nothing=False)).counts.missing == 6
    await reconciler.workers.stream.publish(EVENTS[5])
    assert (await reconciler.run(repair=True, from_nothing=False)).counts.repaired == 5
