"""What is old is removed, what is young or needed stays, nobody waits for it, and the account still agrees."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from consumers.maintenance import retention
from consumers.maintenance.runner import Maintenance, Outcome
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.wait import until

NOW = datetime.now(UTC)
THIS_MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'payloads'::regclass ORDER BY 1"
KEPT = "SELECT event_id FROM payloads ORDER BY event_id"


def month_before(month: datetime) -> datetime:
    return (month - timedelta(days=1)).replace(day=1)


async def make_past_months(connection: asyncpg.Connection, count: int) -> list[datetime]:
    """Make the partitions of the months before this one; return their beginnings, the latest first."""
    ends, starts = THIS_MONTH, []
    for _ in range(count):
        start = month_before(ends)
        await connection.execute(
            f"CREATE TABLE payloads_{start:%Y_%m} PARTITION OF payloads FOR VALUES FROM ('{start}') TO ('{ends}')"
        )
        starts.append(start)
        ends = start
    return starts


async def receive(workers: Workers, event_id: str, received_at: datetime) -> None:
    event = replace(contract_event(event_id, f"pi_{event_id}"), received_at=received_at)
    await workers.stream.publish(event)


async def maintain(workers: Workers, **kept_days: int) -> dict[str, Outcome]:
    await workers.connection.execute("UPDATE maintenance SET next_at = now()")
    settings = workers.settings.model_copy(update=kept_days)
    outcomes = await Maintenance(settings, workers.redis).do_what_is_due()
    return {outcome.step: outcome for outcome in outcomes}


def days_since(moment: datetime) -> int:
    return (NOW - moment).days


async def test_months_are_dropped_once_all_of_them_is_old(workers: Workers) -> None:
    months = await make_past_months(workers.connection, 4)
    for number, month in enumerate(months):
        await receive(workers, f"evt_{number}_first", month)
        await receive(workers, f"evt_{number}_last", month + timedelta(days=27, hours=23))
    await receive(workers, "evt_far", datetime(1999, 1, 1, tzinfo=UTC))
    async with workers.working():
        await workers.drained()
    kept_days = days_since(months[1])
    done = await maintain(workers, payloads_kept_days=kept_days)
    names = ", ".join(f"payloads_{month:%Y_%m}" for month in (months[3], months[2]))
    assert done["payloads"].text.startswith(f"dropped {names} (")
    assert done["payloads"].text.endswith("deleted 1 payloads of no month")
    young = [f"evt_{number}_{which}" for number in (0, 1) for which in ("first", "last")]
    assert [row[0] for row in await workers.rows(KEPT)] == young
    assert len(await workers.events()) == 9
    assert await workers.findings() == []
    assert (await maintain(workers, payloads_kept_days=kept_days))["payloads"].rows == 0


async def test_a_payload_of_midnight_belongs_to_the_month_that_begins(workers: Workers) -> None:
    last, before = await make_past_months(workers.connection, 2)
    await receive(workers, "evt_midnight", last)
    await receive(workers, "evt_before", last - timedelta(microseconds=1))
    async with workers.working():
        await workers.drained()
    await maintain(workers, payloads_kept_days=days_since(last))
    assert await workers.rows(KEPT) == [("evt_midnight",)]
    assert f"payloads_{before:%Y_%m}" not in [row[0] for row in await workers.rows(MONTHS)]


async def test_nothing_is_removed_unless_it_is_asked_for(workers: Workers) -> None:
    await make_past_months(workers.connection, 3)
    before = await workers.rows(MONTHS)
    done = await maintain(workers)
    assert {done[name].text for name in ("payloads", "duplicates", "dead_letters")} == {"kept for ever"}
    assert await workers.rows(MONTHS) == before


async def test_months_are_dropped_while_a_worker_writes(workers: Workers) -> None:
    months = await make_past_months(workers.connection, 12)
    async with workers.working() as worker:
        publishing = asyncio.create_task(workers.publish(300))
        done = await maintain(workers, payloads_kept_days=31)
        await publishing
        await until(lambda: workers.has_applied(300), what="all are applied")
        assert worker.counted("infrastructure_failures_total") == 0
        assert worker.counted("events_retried_total") == 0
    assert done["payloads"].rows >= len(months) - 2
    await workers.assert_all_acked()


async def test_a_long_reader_delays_the_drop_and_nobody_else(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_past_months(workers.connection, 3)
    async with workers.working() as worker:
        async with workers.connection.transaction():
            await workers.rows("SELECT count(*) FROM payloads")
            monkeypatch.setattr(retention, "LOCK_ATTEMPTS", 2)
            monkeypatch.setattr(retention, "LOCK_PAUSE_S", 0.01)
            settings = workers.settings.model_copy(update={"payloads_kept_days": 1})
            waiting = asyncio.create_task(Maintenance(settings, workers.redis).do_what_is_due())
            await workers.publish(20)
            await workers.drained()
            outcome = (await waiting)[0]
        assert outcome.has_failed
        assert "was in use in each of 2 attempts" in outcome.text
        assert worker.counted("events_retried_total") == 0
    assert len(await workers.rows(MONTHS)) == 3 + 4
    done = await maintain(workers, payloads_kept_days=1)
    assert done["payloads"].rows >= 2


async def test_a_payload_that_a_decision_needs_stays(workers: Workers) -> None:
    (month,) = await make_past_months(workers.connection, 1)
    for event_id in ("evt_held", "evt_free"):
        await receive(workers, event_id, month)
    await receive(workers, "evt_held_1999", datetime(1999, 1, 1, tzinfo=UTC))
    async with workers.working():
        await workers.drained()
    held = (
        "INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency) "
        "SELECT namespace, event_id, resource, source, 'unsigned', 'captured', 'o', 1, 'EUR' FROM events "
        "WHERE event_id LIKE 'evt_held%'"
    )
    await workers.connection.execute(held)
    kept_days = max(1, days_since(THIS_MONTH))
    done = await maintain(workers, payloads_kept_days=kept_days)
    assert "kept 1 payloads of them that a decision needs" in done["payloads"].text
    assert await workers.rows(KEPT) == [("evt_held",), ("evt_held_1999",)]
    await workers.connection.execute("UPDATE held_back SET released_at = now()")
    await maintain(workers, payloads_kept_days=kept_days)
    assert await workers.rows(KEPT) == []
    assert await workers.findings() == []


async def with_duplicates(workers: Workers, count: int) -> None:
    """Apply an event, and record as many duplicates of it."""
    for _ in range(count + 1):
        await workers.stream.publish(contract_event("evt_1", "pi_1"))
    async with workers.working():
        await workers.drained()
    assert await workers.row("SELECT count(*) FROM duplicates") == (count,)


async def test_old_duplicates_are_removed_and_still_counted(workers: Workers) -> None:
    await with_duplicates(workers, 5)
    old = (
        "UPDATE duplicates SET recorded_at = now() - interval '3 days' WHERE entry_id < (SELECT max(entry_id) FROM {})"
    )
    await workers.connection.execute(old.format("duplicates"))
    assert (await maintain(workers, duplicates_kept_days=4))["duplicates"].rows == 0
    assert (await maintain(workers, duplicates_kept_days=2))["duplicates"].rows == 4
    assert await workers.row("SELECT count(*) FROM duplicates") == (1,)
    assert await workers.row("SELECT sum(entries) FROM removed_entries") == (4,)
    await workers.assert_all_acked()
    await workers.connection.execute("UPDATE duplicates SET recorded_at = now() - interval '3 days'")
    assert (await maintain(workers, duplicates_kept_days=2))["duplicates"].rows == 1
    assert await workers.row("SELECT count(*), sum(entries) FROM removed_entries") == (1, 5)
    await workers.assert_all_acked()


async def test_a_duplicate_stays_while_its_entry_is_in_the_stream(workers: Workers) -> None:
    await with_duplicates(workers, 1)
    waiting = await workers.stream.publish(contract_event("evt_1", "pi_1"))
    record = (
        "INSERT INTO duplicates (entry_id, namespace, event_id, source, received_at, recorded_at) "
        "SELECT $1, namespace, event_id, source, received_at, now() - interval '9 days' FROM events"
    )
    await workers.connection.execute("UPDATE duplicates SET recorded_at = now() - interval '9 days'")
    await workers.connection.execute(record, waiting)  # by a worker that died before its ack
    assert (await maintain(workers, duplicates_kept_days=1))["duplicates"].rows == 1
    assert await workers.rows("SELECT entry_id FROM duplicates") == [(waiting,)]
    async with workers.working():
        await workers.drained()
    await workers.assert_all_acked()
    assert (await maintain(workers, duplicates_kept_days=1))["duplicates"].rows == 1
    await workers.assert_all_acked()


async def test_entries_of_another_epoch_are_counted_apart(workers: Workers) -> None:
    await with_duplicates(workers, 2)
    first = await workers.redis.get(workers.keys.epoch)
    for name in (workers.keys.events, workers.keys.epoch, workers.keys.account, workers.keys.applied):
        await workers.redis.delete(name)
    await with_duplicates_of_new_stream(workers)
    assert await workers.redis.get(workers.keys.epoch) != first
    before = await workers.finding_names()
    await workers.connection.execute("UPDATE duplicates SET recorded_at = now() - interval '9 days'")
    assert (await maintain(workers, duplicates_kept_days=1))["duplicates"].rows == 5
    counts = await workers.rows("SELECT epoch = '', entries FROM removed_entries ORDER BY 1")
    assert counts == [(False, 3), (True, 2)]
    assert await workers.finding_names() == before
    assert "entries_do_not_add_up" not in before


async def with_duplicates_of_new_stream(workers: Workers) -> None:
    for _ in range(3):
        await workers.stream.publish(contract_event("evt_1", "pi_1"))
    await workers.stream.publish(contract_event("evt_2", "pi_2"))
    async with workers.working():
        await workers.drained()
        await until(lambda: workers.rows("SELECT FROM redis_beats WHERE epoch <> ''"), what="its epoch is kept")


async def test_closed_dead_letters_are_removed_and_open_ones_never(workers: Workers) -> None:
    for event_id in ("evt_open", "evt_discarded", "evt_young"):
        await workers.stream.publish(contract_event(event_id, f"pi_{event_id}"))
    for entry in await workers.stream.read("worker-1"):
        await workers.stream.dead_letter(workers.connection, entry)
    await workers.publish(1)
    async with workers.working():
        await workers.drained()
    await workers.connection.execute(
        "UPDATE dead_letters SET died_at = now() - interval '90 days', "
        "state = CASE event_id WHEN 'evt_open' THEN 'open' ELSE 'discarded' END, state_changed_at = CASE event_id "
        "WHEN 'evt_discarded' THEN now() - interval '31 days' WHEN 'evt_young' THEN now() - interval '29 days' END"
    )
    assert (await maintain(workers, dead_letters_kept_days=30))["dead_letters"].rows == 1
    assert (await maintain(workers, dead_letters_kept_days=30))["dead_letters"].rows == 0
    left = await workers.rows("SELECT event_id, reason, cardinality(field_names) FROM dead_letters ORDER BY event_id")
    assert [row[0] for row in left] == ["evt_discarded", "evt_open", "evt_young"]
    assert left[0][1:] == ("(removed)", 0), "a comparison with the provider's list must not take it for missing"
    assert all(row[2] for row in left[1:])
    await workers.assert_all_acked()
