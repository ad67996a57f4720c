"""`why` about events that were applied, and about events that wait for a worker."""

import asyncpg
import pytest

from consumers.settings import Settings
from tests.support.asking_why import apply, ask_why, only_event, publish_and_read, refund, stuck, succeeded, whats
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.stream_states import Stream, say

LATER_S = 3600


async def test_an_event_that_was_applied(workers: Workers) -> None:
    await apply(workers, succeeded("evt_1"))
    document = await ask_why(workers.settings, "evt_1")
    event = only_event(document)
    assert (event["state"], event["marker"]) == ("applied", {"state": "committed", "entry_id": None})
    assert event["entry_id"] == workers.stream.ids[0]
    assert event["worker"] is event["attempt"] is None
    assert [(fact["kind"], fact["amount"], fact["held_back"]) for fact in event["facts"]] == [
        ("authorized", "19.99", None), ("captured", "19.99", None),
    ]  # fmt: skip
    (payment,) = document["payments"]
    assert payment["state"] | {"first_occurred_at": 0, "last_occurred_at": 0} == {
        "status": "succeeded", "currency": "EUR", "amount": "19.99", "amount_minor": 1999, "captured": "19.99",
        "captured_minor": 1999, "refunded": "0.00", "refunded_minor": 0, "disputed": "0.00", "disputed_minor": 0,
        "contradicted": False, "first_occurred_at": 0, "last_occurred_at": 0, "account": "", "disputed_currency": None,
        "captured_outside": "0.00", "captured_outside_minor": 0,
    }  # fmt: skip
    (transfer,) = payment["transfers"]
    assert transfer | {"booked_at": 0} == {
        "dispute_id": None,
        "movement": "capture:pi_1", "debit_account": "provider:stripe", "credit_account": "merchant", "amount": "19.99",
        "amount_minor": 1999, "currency": "EUR", "event_id": "evt_1", "booked_at": 0,
    }  # fmt: skip
    assert whats(document) == ["accepted", "committed", "reported", "reported", "booked"]
    assert document["stuck"] == document["notes"] == []
    said = await say(workers.settings, "why", "evt_1")
    for text in ("stripe/evt_1: payment_intent.succeeded about pi_1, applied.", "are not kept", "capture:pi_1: 19.99 E",
                 "Payments now", "succeeded"):  # fmt: skip
        assert text in said.text


async def test_an_entry_of_an_applied_event_is_a_duplicate(workers: Workers) -> None:
    await apply(workers, succeeded("evt_1"))
    await apply(workers, succeeded("evt_2"), succeeded("evt_1"))
    first, second, third = workers.stream.ids
    document = await ask_why(workers.settings, "evt_1")
    assert [duplicate["entry_id"] for duplicate in only_event(document)["duplicates"]] == [third]
    assert whats(document).count("accepted") == 2
    assert whats(document).count("duplicate") == 1
    for entry_id, event_id in ((first, "evt_1"), (second, "evt_2"), (third, "evt_1")):
        assert only_event(await ask_why(workers.settings, entry_id))["event_id"] == event_id
    assert "booked" in whats(await ask_why(workers.settings, "evt_2")), (
        "the transfer it reports too is shown with the event that booked it"
    )


@pytest.mark.parametrize("id_", ["pi_1", "stripe/pi_1", "capture:pi_1", "refund:re_1", "re_1"])
async def test_a_payment_is_found_by_its_id_and_by_its_transfers(workers: Workers, id_: str) -> None:
    created = contract_event("evt_0", "pi_1", type="payment_intent.something_new")
    await apply(workers, created, succeeded("evt_1"), refund("evt_2"), succeeded("evt_3", resource="pi_2"))
    document = await ask_why(workers.settings, id_)
    assert sorted(event["event_id"] for event in document["events"]) == ["evt_0", "evt_1", "evt_2"]
    (payment,) = document["payments"]
    assert [transfer["movement"] for transfer in payment["transfers"]] == ["capture:pi_1", "refund:re_1"]
    assert payment["state"]["status"] == "partially_refunded"


async def test_an_event_whose_worker_is_gone(settings: Settings, stream: Stream) -> None:
    entry_id = await publish_and_read(stream, succeeded("evt_1"))
    sentence, step = await stuck(settings)
    assert sentence.startswith("worker-2 is gone (no slot lease); claimed by another worker in 1")
    assert step == "no worker runs: make consumers N=2"
    event = only_event(await ask_why(settings, "evt_1"))
    assert (event["type"], event["resource"], event["committed_at"]) == ("payment_intent.succeeded", "pi_1", None)
    assert [fact["kind"] for fact in event["facts"]] == ["authorized", "captured"]
    assert (event["state"], event["worker"], event["attempt"]) == ("waiting", "worker-2", 1)
    assert event["marker"] == {"state": "entry", "entry_id": entry_id}
    assert (
        only_event(await ask_why(settings, "pi_1"))["event_id"]
        == only_event(await ask_why(settings, entry_id))["event_id"]
        == "evt_1"
    )


async def test_an_event_whose_payment_is_locked_by_another_worker(settings: Settings, stream: Stream) -> None:
    await publish_and_read(stream, succeeded("evt_1"))
    for slot in (2, 3):
        await stream.lease(slot)
    await stream.lock(succeeded("evt_1"), "worker-3")
    assert await stuck(settings) == ("waits for the lock of stripe:pi_1 held by worker-3", None)


async def test_an_event_that_is_tried_again(settings: Settings, stream: Stream) -> None:
    entry_id = await publish_and_read(stream, succeeded("evt_1"))
    await stream.record_failure(entry_id, "retry", "ValueError: no", 3, LATER_S)
    assert (await stuck(settings))[0].startswith("attempt 3 of 10 failed, tried again in 59 min")
    document = await ask_why(settings, "evt_1")
    assert sorted(whats(document)) == ["accepted", "claimed", "failed"]
    assert only_event(document)["entries"][0]["failure"]["attempt"] == 3


DISK_FULL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION fail();
"""


async def test_an_event_that_waits_for_postgres_says_since_when(workers: Workers) -> None:
    await workers.connection.execute(DISK_FULL)
    await workers.stream.publish(succeeded("evt_1"))
    async with workers.working(outage_delay_ms=60_000, outage_delay_max_ms=60_000, claim_idle_ms=60_000):
        await workers.failure_recorded()
        await workers.stream.publish(succeeded("evt_2"))
        sentence, step = await stuck(workers.settings, "evt_1")
        assert sentence.startswith("infrastructure down since 20")
        assert step is None
        sentence, _ = await stuck(workers.settings, "evt_2")
        assert (
            "not read by any worker yet (1 such entries): the workers wait for Redis or Postgres since 20" in sentence
        )


async def test_an_event_that_no_worker_has_read(settings: Settings, stream: Stream) -> None:
    await stream.publish(succeeded("evt_1"))
    assert await stuck(settings) == (
        "in the stream, and not read by any worker yet (1 such entries): no worker runs", "make consumers N=2",
    )  # fmt: skip
    await publish_and_read(stream, succeeded("evt_0"), by="worker-1")
    await stream.lease(1)
    await stream.publish(succeeded("evt_2"))
    assert (await stuck(settings, "evt_2"))[0].endswith("1 workers read them in their order")


async def test_an_entry_that_is_not_an_envelope(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    entry_id = await stream.publish_fields(["v", "9"])
    (entry,) = await stream.read("worker-1")
    assert only_event(await ask_why(settings, entry_id))["state"] == "waiting"
    await stream.dead_letter(connection, entry, "envelope version 9")
    assert only_event(await ask_why(settings, entry_id))["state"] == "dead"
