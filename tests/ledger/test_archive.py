"""Payments that were quiet for long move to the archive with their transfers, and come back before they change."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from consumers.handlers.payments import builtin
from contract.event import Event
from sql import load
from sql.archive import Archived, archive_since
from sql.audit import audit
from sql.connect import connect
from tests.support.asking_why import apply, ask_why, refund, succeeded
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S
from tests.support.events import contract_event
from tests.support.operator_commands import captured, refunded
from tests.support.stream_states import say
from tests.support.wait import until

LATER = datetime.now(UTC) + timedelta(days=400)
EVENTS = load("events")
MOVE = "SELECT payments_moved FROM archive_payments(now() + interval '400 days', 0, 1000, interval '0')"
MOVE_AFTER_30_DAYS = MOVE.replace("+ interval '400 days'", "- interval '30 days'")
HOT = "SELECT payment_id FROM ONLY payments ORDER BY 1"
ARCHIVED = "SELECT payment_id FROM payments_archive ORDER BY 1"
ARCHIVED_TRANSFERS = "SELECT movement FROM transfers_archive ORDER BY 1"
ROW = "SELECT payment_id, status, captured, refunded FROM payments ORDER BY 1"
BOOKED = "SELECT movement, payment_id, amount FROM transfers ORDER BY 1"
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def move_all(connection: asyncpg.Connection) -> Archived:
    done = Archived()
    await archive_since(connection, LATER, done, rolling_upgrade=timedelta())
    return done


@pytest.fixture
async def another(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A second connection."""
    async with connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as connected:
        yield connected


async def book(connection: asyncpg.Connection, *events: Event) -> None:
    """Book events as a worker does, in one transaction."""
    async with connection.transaction():
        await connection.execute(
            *EVENTS.bind(
                "lock_resources",
                namespace=[event.namespace for event in events],
                resource=[event.resource for event in events],
            )
        )
        await builtin({}).apply(connection, events, 10.0, lambda: None)


async def test_a_refund_of_an_archived_payment_brings_it_back(workers: Workers) -> None:
    await apply(workers, succeeded("evt_1"), succeeded("evt_2", resource="pi_2"))
    before = [await workers.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("payments", "transfers")]
    done = await move_all(workers.connection)
    assert (done.events, done.payments, done.transfers, done.busy) == (2, 2, 2, 0)
    assert await workers.rows(HOT) == []
    assert before == [await workers.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("payments", "transfers")]
    await apply(workers, refund("evt_3"), succeeded("evt_1"))
    assert await workers.rows(HOT) == [("pi_1",)]
    assert await workers.rows(ARCHIVED_TRANSFERS) == [("capture:pi_2",)]
    assert await workers.rows(ROW) == [("pi_1", "partially_refunded", 1999, 500), ("pi_2", "succeeded", 1999, 0)]
    assert await workers.rows("SELECT event_id FROM duplicates") == [("evt_1",)]
    await workers.assert_all_acked()
    assert (await move_all(workers.connection)).transfers == 2
    assert await workers.rows(HOT) == []
    await workers.assert_all_acked()


async def test_people_see_an_archived_payment_as_any_other(workers: Workers) -> None:
    await apply(workers, succeeded("evt_1"), refund("evt_2"))
    before = await ask_why(workers.settings, "pi_1")
    await move_all(workers.connection)
    assert await ask_why(workers.settings, "pi_1") == before
    assert (await ask_why(workers.settings, "capture:pi_1"))["payments"] == before["payments"]
    found = await say(workers.settings, "events", "--json", "payment:pi_1")
    assert "evt_1" in found.text
    assert "evt_2" in found.text
    assert (await say(workers.settings, "audit")).code == 0


async def test_a_transfer_is_not_booked_again_for_another_payment(workers: Workers) -> None:
    connection = workers.connection
    await book(connection, captured(700, "evt_1"), refunded(100, "evt_2"))
    await connection.execute(MOVE)
    await book(connection, captured(700, "evt_3", "pi_2"), refunded(100, "evt_4", payment="pi_2"))
    assert await workers.rows(BOOKED) == [
        ("capture:pi_1", "pi_1", 700), ("capture:pi_2", "pi_2", 700), ("refund:re_1", "pi_1", 100)
    ]  # fmt: skip
    assert await workers.rows("SELECT movement, payment_id, booked_amount FROM conflicts") == [
        ("refund:re_1", "pi_2", 100)
    ]


@pytest.mark.parametrize("is_moved", [True, False], ids=["moved", "rolled back"])
async def test_a_transfer_that_moves_meanwhile_is_not_booked_for_another_payment(
    workers: Workers, another: asyncpg.Connection, is_moved: bool
) -> None:
    connection = workers.connection
    await book(connection, captured(700, "evt_1"), refunded(100, "evt_2"))
    transaction = another.transaction()
    await transaction.start()
    assert await another.fetchval(MOVE) == 1
    booking = asyncio.create_task(book(connection, refunded(100, "evt_4", payment="pi_2")))
    await until(lambda: another.fetchval(WAITS), what="the booking waits for the move")
    await (transaction.commit() if is_moved else transaction.rollback())
    await booking
    assert await workers.rows(BOOKED) == [("capture:pi_1", "pi_1", 700), ("refund:re_1", "pi_1", 100)]
    assert await workers.rows("SELECT movement, payment_id FROM conflicts") == [("refund:re_1", "pi_2")]


async def test_a_worker_that_waits_for_a_moving_payment_finds_it(workers: Workers, another: asyncpg.Connection) -> None:
    await book(workers.connection, captured(700, "evt_1"))
    transaction = another.transaction()
    await transaction.start()
    assert await another.fetchval(MOVE) == 1
    booking = asyncio.create_task(book(workers.connection, refunded(100, "evt_2")))
    await until(lambda: another.fetchval(WAITS), what="the booking waits for the lock")
    await transaction.commit()
    await booking
    assert await workers.rows(ARCHIVED) == []
    assert await workers.rows(ROW) == [("pi_1", "partially_refunded", 700, 100)]


async def test_a_payment_that_a_worker_has_locked_stays(workers: Workers, another: asyncpg.Connection) -> None:
    await book(workers.connection, captured(700, "evt_1"), captured(700, "evt_2", "pi_2"))
    async with another.transaction():
        await another.execute(*EVENTS.bind("lock_resources", namespace=["stripe"], resource=["pi_1"]))
        assert await workers.connection.fetchval(MOVE) == 1
    assert await workers.rows(HOT) == [("pi_1",)]


async def test_what_waits_for_a_person_or_a_bank_stays(workers: Workers) -> None:
    await book(workers.connection, captured(700, "evt_1"), captured(700, "evt_2", "pi_2"), captured(7, "evt_3", "pi_3"))
    await book(workers.connection, captured(800, "evt_4"))
    await workers.connection.execute(
        "INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency) "
        "VALUES ('stripe', 'evt_2', 'pi_2', 'stripe', 'unsigned', 'refunded', 're_1', 9, 'EUR')"
    )
    await workers.connection.execute(
        "INSERT INTO disputes (namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, "
        "reinstated) VALUES ('stripe', 'dp_1', 'pi_3', 'EUR', 7, true, false, false, false, false)"
    )
    assert await workers.connection.fetchval(MOVE) == 0


async def test_nothing_moves_back_and_forth_in_vain(workers: Workers) -> None:
    await book(workers.connection, captured(700, "evt_1"))
    await workers.connection.execute(MOVE)
    transaction = workers.connection.transaction()
    await transaction.start()
    for payments in (["pi_2"], ["pi_1", "pi_1"]):
        row = await workers.connection.fetchrow(
            *EVENTS.bind("lock_resources", namespace=["stripe"] * len(payments), resource=payments)
        )
        assert row["brought_back"] == (payments != ["pi_2"])
    await transaction.rollback()
    assert await workers.rows(ARCHIVED) == [("pi_1",)]


async def test_a_payment_without_a_time_is_as_old_as_its_row(workers: Workers) -> None:
    failed = {"type": "payment_intent.payment_failed", "occurred_at": None}
    await book(workers.connection, contract_event("evt_1", "pi_1", **failed), contract_event("evt_2", "pi_2", **failed))
    await workers.connection.execute(
        "UPDATE payments SET recorded_at = now() - interval '100 days' WHERE payment_id = 'pi_1'"
    )
    assert await workers.connection.fetchval(MOVE_AFTER_30_DAYS) == 1
    assert await workers.rows(ARCHIVED) == [("pi_1",)]
    await book(workers.connection, contract_event("evt_3", "pi_1", type="payment_intent.canceled", occurred_at=None))
    assert await workers.rows("SELECT payment_id, status FROM ONLY payments ORDER BY 1") == [
        ("pi_1", "canceled"), ("pi_2", "failed")
    ]  # fmt: skip


async def test_a_time_that_an_event_names_counts_and_not_that_of_the_row(workers: Workers) -> None:
    await book(workers.connection, contract_event("evt_1", "pi_1", type="payment_intent.payment_failed"))
    await workers.connection.execute("UPDATE payments SET recorded_at = now() - interval '1000 years'")
    await workers.connection.execute("UPDATE payments SET last_occurred_at = now()")
    assert await workers.connection.fetchval(MOVE_AFTER_30_DAYS) == 0


async def test_rows_of_before_the_rules_about_currencies_stay(workers: Workers) -> None:
    await book(workers.connection, captured(700, "evt_1"), captured(700, "evt_2", "pi_2"))
    await workers.connection.execute("ALTER TABLE transfers DROP CONSTRAINT currency_is_known")
    await workers.connection.execute(
        "INSERT INTO transfers "
        "(namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id) "
        "VALUES ('stripe', 'capture:x', 'pi_1', 'a', 'b', 1, 'XTS', 'evt_1')"
    )
    assert await workers.connection.fetchval(MOVE) == 1
    assert await workers.rows(HOT) == [("pi_1",)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transfers_archive",
        "DELETE FROM transfers",
        "UPDATE transfers_archive SET amount = 1",
        "UPDATE transfers SET amount = 1",
        "TRUNCATE transfers_archive",
        "TRUNCATE payments_archive",
    ],
)
async def test_the_archive_of_transfers_is_append_only(workers: Workers, statement: str) -> None:
    await book(workers.connection, captured(700, "evt_1"))
    await workers.connection.execute(MOVE)
    with pytest.raises(asyncpg.RaiseError, match=r"append-only|is kept"):
        await workers.connection.execute(statement)


@pytest.mark.parametrize("change", ["amount = 0", "currency = 'EURO'", "currency = 'XTS'"])
async def test_the_rules_of_money_hold_in_the_archive(workers: Workers, change: str) -> None:
    await book(workers.connection, captured(700, "evt_1"))
    column, _, value = change.partition(" = ")
    with pytest.raises(asyncpg.CheckViolationError):
        await workers.connection.execute(
            "INSERT INTO transfers_archive (namespace, movement, payment_id, debit_account, credit_account, event_id, "
            f"{'currency' if column == 'amount' else 'amount'}, {column}) "
            f"SELECT namespace, 'x', payment_id, debit_account, credit_account, event_id, "
            f"{'currency' if column == 'amount' else 'amount'}, {value} FROM transfers"
        )


async def test_the_audit_is_green_before_and_after(workers: Workers) -> None:
    await apply(workers, *(succeeded(f"evt_{n}", resource=f"pi_{n}") for n in range(20)))
    assert await audit(workers.connection) == []
    assert (await move_all(workers.connection)).payments == 20
    assert await audit(workers.connection) == []
