"""`why` about an event that never arrived, and about one that came by the provider's list."""

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from tests.support.asking_why import apply, ask_why, only_event, stuck, succeeded, whats
from tests.support.compared import was_found
from tests.support.consuming import Workers
from tests.support.stream_states import say

REPAIRED = datetime(2026, 11, 26, 14, 5, tzinfo=UTC)


async def test_an_event_that_the_provider_lists_and_that_never_arrived(workers: Workers) -> None:
    await was_found(workers.connection, "evt_lost", payment="pi_7")
    document = await ask_why(workers.settings, "evt_lost")
    event = only_event(document)
    assert (event["state"], event["resource"], event["origin"]) == ("missing", "pi_7", None)
    assert event["sentence"].startswith("the provider lists it; it never arrived (found 20")
    (finding,) = event["findings"]
    assert (finding["kind"], finding["source"], finding["repaired_at"]) == ("missing", "stripe", None)
    assert whats(document) == ["missing"]
    _, step = await stuck(workers.settings, "evt_lost")
    assert step
    assert step.startswith("make reconcile SOURCE=stripe SINCE=20")
    assert step.endswith("Z REPAIR=1")
    of_payment = await ask_why(workers.settings, "pi_7")
    assert only_event(of_payment)["event_id"] == "evt_lost"
    said = await say(workers.settings, "why", "evt_lost")
    assert "stripe/evt_lost is stuck: the provider lists it; it never arrived" in said.text


async def test_one_that_was_repaired_came_by_the_list(workers: Workers) -> None:
    await apply(workers, replace(succeeded("evt_1"), origin="reconcile", signed="api"))
    await was_found(
        workers.connection, "evt_1", repaired_at=REPAIRED, entry_id=workers.stream.ids[0], resolved_at=REPAIRED
    )
    document = await ask_why(workers.settings, "evt_1")
    event = only_event(document)
    assert (event["state"], event["origin"], event["signed"]) == ("applied", "reconcile", "api")
    assert event["sentence"] == (
        "applied: the provider lists it, and it never arrived; repaired at 2026-11-26 14:05:00 UTC"
    )
    assert {"missing", "repaired", "accepted", "committed", "booked"} <= set(whats(document))
    accepted = next(entry for entry in document["timeline"] if entry["what"] == "accepted")
    assert accepted["text"].startswith("from stripe, by the provider's list and not by a delivery, as entry")
    assert document["stuck"] == []


async def test_one_whose_repair_was_lost_again(workers: Workers) -> None:
    await was_found(workers.connection, "evt_1", repaired_at=REPAIRED, entry_id="1-1")
    document = await ask_why(workers.settings, "evt_1")
    assert only_event(document)["state"] == "lost"
    assert (
        "repaired at 2026-11-26 14:05:00 UTC as entry 1-1, which is neither in the stream nor recorded"
        in (only_event(document)["sentence"])
    )


async def test_one_that_differs_shows_both_sides(workers: Workers, connection: asyncpg.Connection) -> None:
    await apply(workers, succeeded("evt_1"))
    await was_found(connection, "evt_1", "different", difference="the amounts differ", recorded="1", listed="2")
    document = await ask_why(workers.settings, "evt_1")
    assert only_event(document)["sentence"] == "applied"
    (differs,) = [entry for entry in document["timeline"] if entry["what"] == "differs"]
    assert differs["text"].endswith("the amounts differ (here: 1; there: 2)")
