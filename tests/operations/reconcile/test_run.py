"""A source is compared with its provider's list: what never arrived, what is not listed, what is not the same."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from contract.event import from_fields
from contract.keys import COMMITTED, Partitions
from operations.reconcile import events
from operations.reconcile.errors import ReconcileError
from providers import api_client
from tests.support.events import contract_event, stripe_event
from tests.support.reconciling import ACT, EVENTS, NOW, SINCE, Reconciler, happened
from tests.support.stand_ins.listing import Entry, OtherIdsApi, SilentApi

ROWS = "SELECT event_id, origin, signed, source FROM events ORDER BY event_id"
OPERATIONS = "SELECT action, subject, actor, reason, touched, details->'events' FROM operations"


async def test_what_never_arrived_is_reported_and_nothing_is_done(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS)
    await reconciler.arrive(*EVENTS[:4])
    report = await reconciler.run()
    assert (report.counts.listed, report.counts.missing, report.counts.repaired) == (6, 2, 0)
    found = sorted(await reconciler.findings(), key=lambda each: each.event_id)
    assert [(each.kind, each.event_id, each.resource, each.occurred_at) for each in found] == [
        ("missing", "evt_4", "pi_4", EVENTS[4].occurred_at), ("missing", "evt_5", "pi_5", EVENTS[5].occurred_at),
    ]  # fmt: skip
    assert await reconciler.workers.events() == ["evt_0", "evt_1", "evt_2", "evt_3"]
    row = await reconciler.row()
    assert (row.open_missing, row.complete_until) == (2, EVENTS[4].occurred_at)
    assert row.compared_until == report.until
    assert not await reconciler.workers.rows(OPERATIONS)


async def test_what_is_missing_is_added_once_and_applied_as_if_delivered(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS)
    await reconciler.arrive(*EVENTS[:4])
    report = await reconciler.run(repair=True)
    assert (report.counts.missing, report.counts.repaired) == (2, 2)
    entries = await reconciler.workers.stream.entries()
    events = [from_fields(fields) for fields in entries.values()]
    assert {(each.event_id, each.signed, each.origin, each.body) for each in events} == {
        (each.event_id, "api", "reconcile", each.body) for each in EVENTS[4:]
    }
    assert {each.entry_id for each in await reconciler.findings()} == set(entries)
    again = await reconciler.run(repair=True)
    assert (again.counts.missing, again.counts.waiting) == (0, 2)
    await reconciler.drain()
    assert (await reconciler.run(repair=True)).counts.missing == 0
    assert await reconciler.findings() == []
    assert (await reconciler.workers.rows(ROWS))[-2:] == [
        ("evt_4", "reconcile", "api", "stripe"), ("evt_5", "reconcile", "api", "stripe"),
    ]  # fmt: skip
    ((*act, named),) = await reconciler.workers.rows(OPERATIONS)
    assert act == ["reconcile", "source:stripe", ACT.actor, ACT.reason, 2]
    assert sorted(json.loads(named)) == ["stripe/evt_4", "stripe/evt_5"]
    assert (await reconciler.row()).complete_until == (await reconciler.row()).compared_until
    await reconciler.workers.assert_all_acked()


async def test_what_arrives_late_is_a_duplicate_of_its_repair(reconciler: Reconciler) -> None:
    reconciler.listing.add(EVENTS[0])
    await reconciler.run(repair=True)
    await reconciler.arrive(EVENTS[0])
    assert await reconciler.workers.events() == ["evt_0"]
    assert await reconciler.workers.rows("SELECT event_id FROM duplicates") == [("evt_0",)]
    assert await reconciler.workers.rows("SELECT captured FROM payments") == [(1999,)]


async def test_a_finding_is_closed_once_the_event_has_arrived_late(reconciler: Reconciler) -> None:
    reconciler.listing.add(EVENTS[0])
    await reconciler.run()
    await reconciler.arrive(EVENTS[0])
    await reconciler.run(since=NOW - timedelta(minutes=10))  # in a window that does not have it
    (finding,) = await reconciler.findings(only_open=False)
    assert finding.resolved_at
    assert finding.repaired_at is None


async def test_what_waits_or_is_dead_is_not_missing(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS[:2])
    await reconciler.workers.stream.publish(EVENTS[0])
    await reconciler.workers.stream.read("worker-1")
    await reconciler.workers.stream.publish(EVENTS[1])
    (dead,) = await reconciler.workers.stream.read("worker-1")
    await reconciler.workers.stream.dead_letter(reconciler.workers.connection, dead)
    await reconciler.workers.stream.drop(dead.entry_id)
    report = await reconciler.run(repair=True)
    assert (report.counts.waiting, report.counts.dead, report.counts.missing) == (1, 1, 0)


async def test_an_entry_that_was_lost_with_the_stream_is_missing_although_its_marker_stays(
    reconciler: Reconciler,
) -> None:
    reconciler.listing.add(EVENTS[0])
    await reconciler.workers.redis.set(reconciler.workers.keys.seen("stripe", "evt_0"), "5-0")
    assert (await reconciler.run(repair=True)).counts.repaired == 1


async def test_a_marker_of_a_commit_that_postgres_lost_is_not_believed(reconciler: Reconciler) -> None:
    reconciler.listing.add(EVENTS[0])
    await reconciler.workers.redis.set(reconciler.workers.keys.seen("stripe", "evt_0"), COMMITTED)
    assert (await reconciler.run(repair=True)).counts.repaired == 1
    await reconciler.drain()
    assert await reconciler.workers.events() == ["evt_0"]


async def test_what_is_young_is_not_missing_yet(reconciler: Reconciler) -> None:
    reconciler.settings["reconcile_grace_s"] = 300
    young = replace(happened(1), occurred_at=datetime.now(UTC) - timedelta(minutes=1))
    reconciler.listing.add(young)
    assert (await reconciler.run()).counts.listed == 0


async def test_what_no_endpoint_subscribes_to_is_not_missing(reconciler: Reconciler) -> None:
    reconciler.listing.add(happened(1, type="customer.created"))
    assert (await reconciler.run()).counts.listed == 0
    reconciler.access["reconcile_types"] = ("customer.*",)
    assert (await reconciler.run()).counts.missing == 1


async def test_what_was_delivered_and_is_not_listed_is_extra(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS[:2])
    await reconciler.arrive(*EVENTS[:3])
    report = await reconciler.run()
    assert report.counts.extra == 1
    assert [(each.kind, each.event_id) for each in await reconciler.findings()] == [("extra", "evt_2")]
    reconciler.listing.add(EVENTS[2])
    assert (await reconciler.run()).counts.extra == 0
    assert await reconciler.findings() == []


async def test_an_empty_list_proves_nothing_where_the_provider_may_not_know(reconciler: Reconciler) -> None:
    reconciler.kind = SilentApi
    await reconciler.arrive(EVENTS[0])
    report = await reconciler.run()
    assert (report.counts.extra, report.complete_until) == (0, None)
    assert report.notes == ["the list is empty, which proves nothing at this provider"]
    reconciler.listing.add(EVENTS[0])
    long = NOW - timedelta(days=3)  # nothing happened on the first days
    assert (await reconciler.run(since=long, until=SINCE)).complete_until is None
    assert (await reconciler.run(since=long)).complete_until
    assert (await reconciler.row()).compared_since == long


OTHERWISE: list[tuple[str, dict[str, Any], tuple[str, str, str]]] = [
    ("pi_other", {}, ("the payment differs", "the payment pi_0", "the payment pi_other")),
    ("pi_1", {"type": "payment_intent.canceled"},
     ("the type differs", "the type payment_intent.succeeded", "the type payment_intent.canceled")),
    ("pi_2", {"body": json.dumps(stripe_event("evt_2", "pi_2", amount=5)).encode()},
     ("what was authorized differs; what was captured pi_2 differs",
      "what was authorized 1999 EUR; what was captured pi_2 1999 EUR",
      "what was authorized 5 EUR; what was captured pi_2 5 EUR")),
]  # fmt: skip


async def test_what_is_listed_otherwise_than_it_was_delivered_is_named_with_both_sides(reconciler: Reconciler) -> None:
    await reconciler.arrive(*EVENTS[:4])
    newer = json.loads(EVENTS[3].body) | {"api_version": "2030-01-01", "pending_webhooks": 0}
    reconciler.listing.add(
        *(contract_event(event.event_id, resource, occurred_at=event.occurred_at, **changes)
          for event, (resource, changes, _) in zip(EVENTS, OTHERWISE, strict=False)),
        happened(3, body=json.dumps(newer).encode()),  # which is no difference
    )  # fmt: skip
    report = await reconciler.run(repair=True)
    assert (report.counts.different, report.counts.missing, report.counts.repaired) == (3, 0, 0)
    findings = {each.event_id: (each.difference, each.recorded, each.listed) for each in await reconciler.findings()}
    assert findings == {f"evt_{number}": sides for number, (_, _, sides) in enumerate(OTHERWISE)}
    reconciler.listing.entries = [Entry(event, unreadable=event is EVENTS[0]) for event in EVENTS[:4]]
    await reconciler.run()
    assert [each.event_id for each in await reconciler.findings()] == ["evt_0"], "what cannot be read closes nothing"
    reconciler.listing.entries = [Entry(event) for event in EVENTS[:4]]
    await reconciler.run()
    assert await reconciler.findings() == []


async def test_an_event_is_known_by_what_it_says_where_deliveries_have_other_ids(reconciler: Reconciler) -> None:
    reconciler.kind = OtherIdsApi
    delivered = [contract_event(f"transmission-{n}", f"pi_{n}", occurred_at=EVENTS[n].occurred_at) for n in range(3)]
    reconciler.listing.add(*EVENTS[:2])
    reconciler.listing.entries.append(Entry(EVENTS[3], ("transmission-3",)))
    await reconciler.arrive(*delivered[:1], contract_event("transmission-3", "pi_9"))
    report = await reconciler.run(repair=True)
    assert [each.event_id for each in await reconciler.findings() if each.kind == "missing"] == ["evt_1"]
    assert (report.counts.repaired, report.counts.extra) == (1, 0)


async def test_a_window_with_too_many_events_is_halved_and_each_is_counted_once(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "IDS_MAX", 10)
    listed = [happened(number, minutes_ago=10 + number) for number in range(40)]
    reconciler.listing.add(*listed)
    reconciler.listing.page_max = 5
    await reconciler.arrive(*listed[::2])
    report = await reconciler.run(repair=True)
    counts = report.counts
    assert (counts.listed, counts.missing, counts.repaired, counts.extra, counts.waiting) == (40, 20, 20, 0, 0)
    await reconciler.drain()
    assert len(await reconciler.workers.events()) == 40
    await reconciler.workers.assert_all_acked()


async def test_more_events_in_one_moment_than_are_kept_end_the_run_with_a_sentence(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "IDS_MAX", 3)
    reconciler.listing.add(*EVENTS)
    with pytest.raises(ReconcileError, match="more than 3 events happened in one moment"):
        await reconciler.run()
    assert (await reconciler.row()).failure == "more than 3 events happened in one moment"


async def test_what_cannot_be_read_is_named_and_the_rest_goes_on(reconciler: Reconciler) -> None:
    reconciler.listing.entries = [
        Entry(EVENTS[0]),
        Entry(EVENTS[1], unreadable=True),
        Entry(EVENTS[2], unreadable=True),
    ]
    await reconciler.arrive(EVENTS[2])  # a delivery of it could be read
    report = await reconciler.run(repair=True)
    assert (report.counts.listed, report.counts.missing, report.counts.repaired) == (3, 2, 1)
    assert report.notes == ["1 of them cannot be read, which no repair changes: their findings say why"]
    await reconciler.drain()
    assert (await reconciler.run(repair=True)).complete_until == SINCE
    (finding,) = await reconciler.findings()
    assert (finding.event_id, finding.occurred_at) == ("evt_1", SINCE)
    assert "it cannot be read: type: not a text" in finding.difference
    reconciler.listing.entries = [Entry(event) for event in EVENTS[:3]]  # a later release can read it
    await reconciler.run(repair=True)
    await reconciler.drain()
    report = await reconciler.run()
    assert (report.complete_until, await reconciler.findings()) == (report.until, [])


async def test_our_clock_ahead_of_the_providers_proves_nothing_of_what_is_still_to_come(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(hours=2)
    monkeypatch.setattr(api_client, "datetime", SimpleNamespace(now=lambda zone: datetime.now(zone) + ahead))
    report = await reconciler.run()
    assert report.complete_until
    assert timedelta(seconds=-5) < report.until - ahead - report.complete_until < timedelta(seconds=5)
    assert "s ahead of the provider's" in report.notes[0]


async def test_what_is_added_while_the_list_is_read_is_compared_too(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS[:5])
    reconciler.listing.page_max = 2

    def add(page: int) -> None:
        if page == 1:
            reconciler.listing.add(EVENTS[5])

    reconciler.listing.on_page = add
    assert (await reconciler.run()).counts.missing == 6


async def test_events_go_into_the_partition_of_their_payment(reconciler: Reconciler) -> None:
    keys = reconciler.workers.keys
    await reconciler.workers.redis.hset(keys.partitions, mapping={"read": 4, "routed": 4})
    reconciler.listing.add(*EVENTS)
    assert (await reconciler.run(repair=True)).counts.repaired == 6
    assert (await reconciler.run(repair=True)).counts.waiting == 6
    partitions = Partitions(keys.prefix, 4)
    for event in EVENTS:
        own = partitions.keys_of(event.namespace, event.resource)
        marker = await reconciler.workers.redis.get(own.seen("stripe", event.event_id))
        assert marker
        assert await reconciler.workers.redis.xrange(own.events, marker, marker)


async def test_sources_with_one_namespace_share_what_arrived(reconciler: Reconciler) -> None:
    reconciler.listing.add(*EVENTS)
    await reconciler.arrive(*EVENTS)
    reconciler.access |= {"source": "new", "namespace": "stripe"}
    report = await reconciler.run(repair=True)
    assert (report.counts.listed, report.counts.missing, report.counts.extra) == (6, 0, 0)
