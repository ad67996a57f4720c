"""A payment's row depends on the set of facts reported about it, not on their order, batches or repeats."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql import columns, load

PAYMENTS = load("payments")
MAXIMUM = 2**40
DAYS = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
TOTALS = {
    "capture": "captured", "refund": "refunds_made", "refund_failed": "refunds_failed",
    "capture_failed": "captures_failed", "dispute": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """What one event reports about one payment: one row of `book_facts`."""

    namespace: str = "stripe"
    payment_id: str = "pi_1"
    provider: str = "stripe"
    currency: str | None = "EUR"
    amount: int = 0
    refunds_total: int = 0
    authorized: bool = False
    succeeded: bool = False
    failed: bool = False
    canceled: bool = False
    capture_failed: bool = False
    occurred_at: datetime | None = None
    transfer_key: str | None = None
    adds_to: str | None = None
    transfer_amount: int = 0
    debit_account: str | None = "from"
    credit_account: str | None = "to"
    event_id: str = "evt_1"
    dispute_id: str | None = None
    of_dispute: bool = False
    captured_outside: int = 0
    account: str = ""
    asked: int = 0


COLUMNS = [field.name for field in fields(Fact)]


def transfer(kind: str, name: str, money: int, payment_id: str = "pi_1", **also: Any) -> Fact:
    return Fact(
        payment_id=payment_id, transfer_key=f"{kind}:{name}", adds_to=TOTALS[kind], transfer_amount=money, **also
    )  # fmt: skip


MONEY = st.one_of(st.integers(0, 3), st.just(MAXIMUM))
STATES = st.builds(
    Fact,
    payment_id=st.sampled_from(["pi_1", "pi_2"]),
    provider=st.sampled_from(["stripe", "hmac"]),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    amount=MONEY,
    refunds_total=MONEY,
    authorized=st.booleans(),
    succeeded=st.booleans(),
    failed=st.booleans(),
    canceled=st.booleans(),
    capture_failed=st.booleans(),
    occurred_at=st.one_of(st.none(), st.sampled_from(DAYS)),
    of_dispute=st.booleans(),
    captured_outside=st.integers(0, 3),
    account=st.sampled_from(["", "acct_1", "acct_2"]),
    asked=st.integers(0, 3),
)
TRANSFERS = st.builds(
    lambda kind, number, payment_id: transfer(
        kind,
        f"{payment_id}:{number}",
        number,
        payment_id,
        authorized=number in (1, 3),
        succeeded=number in (2, 3),
        failed=number == 4,
    ),
    kind=st.sampled_from(sorted(TOTALS)),
    number=st.integers(1, 4),
    payment_id=st.sampled_from(["pi_3", "pi_4"]),
)
"""Of payments in one currency: contradicting transfers are not booked, so that their order matters."""

FACTS = st.one_of(STATES, TRANSFERS)


@st.composite
def reported_twice(draw: st.DrawFn) -> tuple[list[list[Fact]], list[list[Fact]]]:
    """Return the same set of facts in two ways: another order, other batches, some of them repeated."""
    facts = draw(st.lists(FACTS, min_size=1, max_size=6))
    ways = []
    for _ in range(2):
        repeated = facts + draw(st.lists(st.sampled_from(facts), max_size=3))
        order = draw(st.permutations(repeated))
        cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=3)))
        ways.append([batch for batch in _split(order, cuts) if batch])
    return ways[0], ways[1]


def _split(facts: Sequence[Fact], cuts: list[int]) -> Iterator[list[Fact]]:
    for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True):
        yield list(facts[start:end])


async def merge(connection: asyncpg.Connection, facts: list[Fact]) -> list[str]:
    """Book a batch, with each transfer in one row only."""
    keys: set[str | None] = set()
    rows = []
    for fact in facts:
        rows.append(fact if fact.transfer_key not in keys else replace(fact, transfer_key=None))
        keys.add(fact.transfer_key)
    booked, *_ = await connection.fetchrow(*PAYMENTS.bind("book_facts", **columns(rows, *COLUMNS)))
    return list(booked or [])


async def rows_after(connection: asyncpg.Connection, batches: list[list[Fact]]) -> list[tuple[object, ...]]:
    async with undone(connection):
        for batch in batches:
            await merge(connection, batch)
        payments = "SELECT to_jsonb(payments) - 'recorded_at' FROM payments ORDER BY namespace, payment_id"
        tables = (payments, "SELECT movement, amount FROM transfers ORDER BY 1")
        return [tuple(row) for table in tables for row in await connection.fetch(table)]


@asynccontextmanager
async def undone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ways=reported_twice())
async def test_the_row_is_a_function_of_the_set_of_facts(
    connection: asyncpg.Connection, ways: tuple[list[list[Fact]], list[list[Fact]]]
) -> None:
    one, another = ways
    assert await rows_after(connection, one) == await rows_after(connection, another)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(STATES, min_size=1, max_size=6))
async def test_only_facts_that_disagree_make_a_contradiction(connection: asyncpg.Connection, facts: list[Fact]) -> None:
    async with undone(connection):
        for fact in facts:
            await merge(connection, [fact])
        rows = await connection.fetch("SELECT payment_id, contradicted FROM payments")
    for payment_id, contradicted in rows:
        currencies = {fact.currency for fact in facts if fact.payment_id == payment_id and not fact.of_dispute}
        assert contradicted == (len(currencies) > 1)


async def test_a_transfer_is_booked_once_and_counted_once(connection: asyncpg.Connection) -> None:
    capture = transfer("capture", "ch_1", 900)
    assert await merge(connection, [capture, capture]) == ["stripe:capture:ch_1"]
    assert await merge(connection, [capture]) == []
    assert await connection.fetchval("SELECT captured FROM payments") == 900


async def test_nothing_is_booked_in_another_currency_or_while_a_conflict_is_open(
    connection: asyncpg.Connection,
) -> None:
    await merge(connection, [transfer("capture", "ch_1", 900)])
    assert await merge(connection, [transfer("refund", "re_1", 9, currency="USD")]) == []
    await connection.execute(CONFLICT)
    assert await merge(connection, [transfer("refund", "re_2", 9)]) == []
    assert await merge(connection, [transfer("capture", "ch_2", 9, "pi_2")]) == ["stripe:capture:ch_2"]
    await connection.execute("UPDATE conflicts SET decision = 'booked', decided_at = now()")
    assert await merge(connection, [transfer("refund", "re_2", 9)]) == ["stripe:refund:re_2"]


CONFLICT = """
    INSERT INTO conflicts (namespace, payment_id, movement, reported_amount, reported_currency, event_id)
    VALUES ('stripe', 'pi_1', 'refund:re_1', 9, 'USD', 'evt_1')
"""
PAID: dict[str, Any] = {"succeeded": True, "amount": 9}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([Fact()], "pending"),
        ([Fact(failed=True)], "failed"),
        ([Fact(failed=True), Fact(authorized=True)], "authorized"),
        ([Fact(authorized=True), Fact(canceled=True)], "canceled"),
        ([transfer("capture", "c", 9, **PAID), Fact(failed=True)], "succeeded"),
        ([transfer("capture", "c", 9, **PAID), Fact(canceled=True)], "succeeded"),
        ([Fact(succeeded=True)], "succeeded"),
        ([transfer("capture", "c", 9, **PAID), transfer("capture_failed", "c", 9, capture_failed=True)], "failed"),
        ([transfer("capture", "c", 9, **PAID), Fact(refunds_total=4)], "partially_refunded"),
        ([transfer("capture", "c", 9, **PAID), Fact(refunds_total=4), Fact(refunds_total=9)], "refunded"),
        ([transfer("capture", "c", 9, **PAID), transfer("refund", "r", 9), Fact(refunds_total=9)], "refunded"),
        ([transfer("capture", "c", 9, **PAID), transfer("refund", "r", 4), transfer("refund", "s", 5)], "refunded"),
        (
            [transfer("capture", "c", 9, **PAID), transfer("refund", "r", 9), transfer("refund_failed", "r", 9)],
            "succeeded",
        ),
        ([transfer("refund_failed", "r", 9), Fact(refunds_total=9), transfer("capture", "c", 9, **PAID)], "succeeded"),
    ],
)
async def test_the_status_in_either_order(connection: asyncpg.Connection, facts: list[Fact], status: str) -> None:
    for order in (facts, facts[::-1]):
        async with undone(connection):
            for fact in order:
                await merge(connection, [fact])
            assert await connection.fetchval("SELECT status FROM payments") == status
