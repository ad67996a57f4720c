"""Workers of the release before migration 0004 and workers of today can run on the same schema."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sql import Queries, load, parse

_FILE = Path(__file__).with_name("statements_before_0004.sql")
OLD = Queries(_FILE.stem, parse(_FILE.read_text(), _FILE.name))
CONFLICTS, EVENTS, PAYMENTS = load("conflicts"), load("events"), load("payments")

OLD_CONFLICT = ("stripe", "pi_1", "capture:pi_1", 700, "EUR", 800, "EUR", "provider:stripe", "merchant", "evt_800")
"""As the old `open_conflict` takes it: booked are 7.00 EUR, and evt_800 reports 8.00."""
NEW_CONFLICT = {
    "namespace": "stripe", "payment_id": "pi_1", "transfer_key": "capture:pi_1", "booked_amount": 700,
    "booked_currency": "EUR", "reported_amount": 800, "reported_currency": "EUR", "debit_account": "provider:stripe",
    "credit_account": "merchant", "event_id": "evt_800", "dispute_id": None,
}  # fmt: skip
TRANSFER = """
    INSERT INTO transfers (namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
    VALUES ('stripe', 'capture:pi_1', 'pi_1', 'provider:stripe', 'merchant', 700, 'EUR', 'evt_700')
"""
OLD_NAMES = "SELECT told_amount, told_currency, decision FROM conflicts ORDER BY id"
NEW_NAMES = "SELECT reported_amount, reported_currency, kept FROM conflicts ORDER BY id"
BOOKED = "SELECT movement, amount FROM transfers ORDER BY movement"

DECISIONS = [("told", "reported"), ("booked", "booked")]
"""As the old column has them, and as the new one has them."""


async def rows(connection: asyncpg.Connection, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def open_old(connection: asyncpg.Connection, conflict: Sequence[object] = OLD_CONFLICT) -> int | None:
    number: int | None = await connection.fetchval(OLD["open_conflict"], *conflict)
    return number


async def open_new(connection: asyncpg.Connection, **changes: object) -> int | None:
    number: int | None = await connection.fetchval(*CONFLICTS.bind("open_conflict", **(NEW_CONFLICT | changes)))
    return number


@pytest.mark.parametrize("name", OLD)
async def test_every_old_statement_is_still_valid(connection: asyncpg.Connection, name: str) -> None:
    await connection.prepare(OLD[name])


async def test_a_conflict_of_an_old_worker_has_the_new_names(connection: asyncpg.Connection) -> None:
    number = await open_old(connection)
    assert await rows(connection, NEW_NAMES) == await rows(connection, OLD_NAMES) == [(800, "EUR", None)]
    (listed,) = await connection.fetch(*CONFLICTS.bind("list_open_conflicts", limit=9, after=0))
    assert (listed["id"], listed["reported_amount"], listed["reported_currency"]) == (number, 800, "EUR")
    assert await rows(connection, *CONFLICTS.bind("find_stopped_payments", namespace=["stripe"], payment_id=["pi_1"]))


async def test_a_conflict_of_a_new_worker_has_the_old_names(connection: asyncpg.Connection) -> None:
    number = await open_new(connection)
    assert await rows(connection, OLD_NAMES) == await rows(connection, NEW_NAMES) == [(800, "EUR", None)]
    (listed,) = await connection.fetch(OLD["list_open_conflicts"], 9)
    assert (listed["id"], listed["told_amount"], listed["told_currency"]) == (number, 800, "EUR")
    assert await rows(connection, OLD["find_stopped"], ["stripe"], ["pi_1"]) == [("stripe", "pi_1")]


async def test_one_conflict_is_recorded_once_by_workers_of_both_releases(connection: asyncpg.Connection) -> None:
    assert await open_old(connection) is not None
    assert await open_new(connection) is None
    assert await open_new(connection, reported_amount=900) is not None
    assert await open_old(connection, (*OLD_CONFLICT[:5], 900, *OLD_CONFLICT[6:])) is None


@pytest.mark.parametrize(("old", "new"), DECISIONS)
async def test_a_decision_of_an_old_command_is_one_for_new_workers(
    connection: asyncpg.Connection, old: str, new: str
) -> None:
    await connection.execute(TRANSFER)
    number = await open_new(connection)
    if old == "told":
        assert await connection.fetchval(OLD["book_told"], number) is False
    await connection.execute(OLD["decide_conflict"], number, old)
    assert await rows(connection, NEW_NAMES) == [(800, "EUR", new)]
    decision = await connection.fetchrow(*CONFLICTS.bind("find_decision", wanted=str(number)))
    assert decision["decision"] == new
    await assert_current_amount(connection, 800 if old == "told" else 700)


@pytest.mark.parametrize(("old", "new"), DECISIONS)
async def test_a_decision_of_a_new_command_is_one_for_old_workers(
    connection: asyncpg.Connection, old: str, new: str
) -> None:
    await connection.execute(TRANSFER)
    number = await open_old(connection)
    if new == "reported":
        assert await connection.fetchval(*CONFLICTS.bind("book_reported", id=number)) is False
    await connection.execute(*CONFLICTS.bind("decide_conflict", id=number, decision=new))
    assert await rows(connection, OLD_NAMES) == [(800, "EUR", old)]
    decision = await connection.fetchrow(OLD["find_decision"], str(number))
    assert decision["decision"] == old
    await assert_current_amount(connection, 800 if new == "reported" else 700)


async def assert_current_amount(connection: asyncpg.Connection, amount: int) -> None:
    """Both releases take the same amount for the right one, and both find no broken invariant."""
    reported = {"namespace": ["stripe"], "transfer_key": ["capture:pi_1"], "amount": [1], "currency": ["EUR"]}
    new = CONFLICTS.bind("find_differing_transfers", **reported, payment_id=["pi_1"])
    assert await rows(connection, *new) == [(1, amount, "EUR")]
    old = (["stripe"], ["capture:pi_1"], [1], ["EUR"], ["pi_1"])
    assert await rows(connection, OLD["find_unsettled"], *old) == [(1, amount, "EUR")]
    booked = {"capture:pi_1": 700, "decided:1": 800, "undone:1": 700} if amount == 800 else {"capture:pi_1": 700}
    assert [key.partition(":")[0] for key, _ in await rows(connection, BOOKED)] == [
        key.partition(":")[0] for key in booked
    ]
    for queries in (OLD, load("invariants")):
        for name in ("decision_that_is_not_booked", "correction_without_decision", "conflict_without_decision"):
            assert await rows(connection, queries[name]) == [], name


async def test_an_old_worker_books_facts_next_to_a_new_one(connection: asyncpg.Connection) -> None:
    succeeded, adds_to_captured = 2, 1
    arguments = ("stripe", "pi_1", "stripe", "EUR", 700, 0, succeeded, None, "capture:pi_1", adds_to_captured, 700,
                 "provider:stripe", "merchant", "evt_700")  # fmt: skip
    booked, *_ = await connection.fetchrow(OLD["book_facts"], *([value] for value in arguments))
    assert booked == ["stripe:capture:pi_1"]
    update = {
        "namespace": "stripe", "payment_id": "pi_1", "provider": "stripe", "event_id": "evt_800", "occurred_at": None,
        "currency": "EUR", "amount": 700, "refunds_total": 0, "authorized": False, "succeeded": True, "failed": False,
        "canceled": False, "capture_failed": False, "transfer_key": "capture:pi_1", "transfer_amount": 700,
        "adds_to": "captured", "debit_account": "provider:stripe", "credit_account": "merchant",
        "dispute_id": None, "of_dispute": False, "captured_outside": 0, "account": "", "asked": 0,
    }  # fmt: skip
    booked, *_ = await connection.fetchrow(
        *PAYMENTS.bind("book_facts", **{name: [value] for name, value in update.items()})
    )
    assert booked is None
    assert await rows(connection, "SELECT status, captured FROM payments") == [("succeeded", 700)]


@pytest.mark.parametrize(
    ("arm", "disarm"),
    [
        (OLD["begin_handling"], OLD["end_handling"]),
        (EVENTS["arm_commit_guard"], EVENTS["disarm_commit_guard"]),
    ],
    ids=["old", "new"],
)
async def test_the_guards_of_both_releases_refuse_a_commit(
    connection: asyncpg.Connection, arm: str, disarm: str
) -> None:
    await connection.execute("BEGIN")
    await connection.execute(arm)
    assert await connection.fetchval(disarm) is True
    await connection.execute("COMMIT")
    await connection.execute("BEGIN")
    await connection.execute(arm)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="only_the_worker_commits"):
        await connection.execute("COMMIT")


async def test_rows_of_before_the_migration_get_the_new_names(connection: asyncpg.Connection) -> None:
    text = (_FILE.parents[2] / "sql" / "migrations" / "0004_reported.sql").read_text()
    apply, _, rollback = text.partition("-- migrate: apply")[2].partition("-- migrate: rollback")
    await open_new(connection)
    await connection.execute(rollback)
    assert await rows(connection, OLD_NAMES) == [(800, "EUR", None)]
    await open_old(connection, (*OLD_CONFLICT[:5], 900, *OLD_CONFLICT[6:]))
    await connection.execute("UPDATE conflicts SET decision = 'told', decided_at = now() WHERE told_amount = 900")
    await connection.execute(apply)
    assert await rows(connection, NEW_NAMES) == [(800, "EUR", None), (900, "EUR", "reported")]
