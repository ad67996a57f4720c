"""A person accepts what differs: it is closed, limits nothing, and is found again only if it says something else."""

from operations.reconcile.acceptance import Accepted, accept
from tests.support.events import contract_event
from tests.support.reconciling import ACT, EVENTS, Reconciler
from tests.support.stand_ins.listing import Entry

OPERATIONS = "SELECT action, subject, actor, touched, details->>'events' FROM operations"


async def test_what_is_accepted_is_neither_added_nor_found_again(reconciler: Reconciler) -> None:
    connection = reconciler.workers.connection
    reconciler.listing.add(EVENTS[0], contract_event("evt_1", "pi_other", occurred_at=EVENTS[1].occurred_at))
    await reconciler.arrive(EVENTS[1], EVENTS[2])
    await reconciler.run()
    kinds = sorted((each.kind, each.event_id) for each in await reconciler.findings())
    assert kinds == [("different", "evt_1"), ("extra", "evt_2"), ("missing", "evt_0")]
    assert (await accept(connection, "stripe", ["evt_9"], act=ACT)).operation is None
    done = await accept(connection, "stripe", ["evt_0"], act=ACT)
    assert done.findings == [Accepted("missing", "stripe", "evt_0")]
    assert await reconciler.workers.rows(OPERATIONS) == [
        ("accept", "source:stripe", ACT.actor, 1, '["stripe/evt_0"]')
    ]  # fmt: skip
    row = await reconciler.row()
    assert (row.open_missing, row.complete_until) == (0, row.compared_until)
    await accept(connection, "stripe", None, act=ACT)
    report = await reconciler.run(repair=True)
    assert (report.counts.missing, report.counts.dead, await reconciler.findings()) == (0, 1, [])
    reconciler.listing.entries[1] = Entry(contract_event("evt_1", "pi_third", occurred_at=EVENTS[1].occurred_at))
    await reconciler.run(repair=True)
    assert [each.listed for each in await reconciler.findings()] == ["the payment pi_third"]
