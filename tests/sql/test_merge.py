"""Order-free: a payment's row depends on the set of facts told about it, not on their order, batches or repeats."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql import load

BOOK = load("payments")["book_facts"]
MAXIMUM = 2**40
DAYS = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
AUTHORIZED, SUCCEEDED, FAILED, CANCELED, CAPTURE_FAILED = 1, 2, 4, 8, 16
STATES = {"capture": 1, "refund": 2, "refund_failed": 3, "capture_failed": 4, "dispute": 0}


@dataclass(frozen=True, slots=True)
class Fact:
    """What one event tells about one payment, in the order of the query's parameters."""

    namespace: str = "stripe"
    payment_id: str = "pi_1"
    provider: str = "stripe"
    currency: str | None = "EUR"
    amount: int = 0
    refunds_total: int = 0
    flags: int = 0
    occurred_at: datetime | None = None
    movement: str | None = None
    stakes: int = 0
    moved: int = 0
    debit: str | None = "from"
    credit: str | None = "to"
    event_id: str = "evt_1"


def moved(kind: str, name: str, moves: int, payment_id: str = "pi_1", **told: Any) -> Fact:
    return Fact(
        payment_id=payment_id, movement=f"{kind}:{name}", stakes=STATES[kind], moved=moves, **told
    )  # fmt: skip


MONEY = st.one_of(st.integers(0, 3), st.just(MAXIMUM))
STATES_TOLD = st.builds(
    Fact,
    payment_id=st.sampled_from(["pi_1", "pi_2"]),
    provider=st.sampled_from(["stripe", "hmac"]),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    amount=MONEY,
    refunds_total=MONEY,
    flags=st.integers(0, 31),
    occurred_at=st.one_of(st.none(), st.sampled_from(DAYS)),
)
MOVEMENTS = st.builds(
    lambda kind, number, payment_id: moved(kind, f"{payment_id}:{number}", number, payment_id, flags=number),
    kind=st.sampled_from(sorted(STATES)),
    number=st.integers(1, 4),
    payment_id=st.sampled_from(["pi_3", "pi_4"]),
)
"""Of payments in one currency: what contradicts is not booked, and so has an order."""

FACTS = st.one_of(STATES_TOLD, MOVEMENTS)


@st.composite
def told_twice(draw: st.DrawFn) -> tuple[list[list[Fact]], list[list[Fact]]]:
    """The same set of facts told in two ways: another order, other batches, some of them repeated."""
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
    """Books a batch, in which each movement is told once."""
    movements: set[str | None] = set()
    rows = []
    for fact in facts:
        rows.append(astuple(fact if fact.movement not in movements else replace(fact, movement=None)))
        movements.add(fact.movement)
    booked, _ = await connection.fetchrow(BOOK, *(list(column) for column in zip(*rows, strict=True)))
    return list(booked or [])


async def rows_after(connection: asyncpg.Connection, batches: list[list[Fact]]) -> list[tuple[object, ...]]:
    async with undone(connection):
        for batch in batches:
            await merge(connection, batch)
        tables = ("SELECT * FROM payments ORDER BY 1, 2", "SELECT movement, amount FROM transfers ORDER BY 1")
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
@given(ways=told_twice())
async def test_the_row_is_a_function_of_the_set_of_facts(
    connection: asyncpg.Connection, ways: tuple[list[list[Fact]], list[list[Fact]]]
) -> None:
    one, another = ways
    assert await rows_after(connection, one) == await rows_after(connection, another)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(STATES_TOLD, min_size=1, max_size=6))
async def test_only_facts_that_disagree_make_a_contradiction(connection: asyncpg.Connection, facts: list[Fact]) -> None:
    async with undone(connection):
        for fact in facts:
            await merge(connection, [fact])
        rows = await connection.fetch("SELECT payment_id, contradicted FROM payments")
    for payment_id, contradicted in rows:
        currencies = {fact.currency for fact in facts if fact.payment_id == payment_id}
        assert contradicted == (len(currencies) > 1)


async def test_a_movement_is_booked_once_and_counted_once(connection: asyncpg.Connection) -> None:
    capture = moved("capture", "ch_1", 900)
    assert await merge(connection, [capture, capture]) == ["stripe:capture:ch_1"]
    assert await merge(connection, [capture]) == []
    assert await connection.fetchval("SELECT captured FROM payments") == 900


async def test_nothing_is_booked_in_another_currency_or_while_a_conflict_is_open(
    connection: asyncpg.Connection,
) -> None:
    await merge(connection, [moved("capture", "ch_1", 900)])
    assert await merge(connection, [moved("refund", "re_1", 9, currency="USD")]) == []
    await connection.execute(CONFLICT)
    assert await merge(connection, [moved("refund", "re_2", 9)]) == []
    assert await merge(connection, [moved("capture", "ch_2", 9, "pi_2")]) == ["stripe:capture:ch_2"]
    await connection.execute("UPDATE conflicts SET decision = 'booked', decided_at = now()")
    assert await merge(connection, [moved("refund", "re_2", 9)]) == ["stripe:refund:re_2"]


CONFLICT = """
    INSERT INTO conflicts (namespace, payment_id, movement, told_amount, told_currency, event_id)
    VALUES ('stripe', 'pi_1', 'refund:re_1', 9, 'USD', 'evt_1')
"""
PAID: dict[str, Any] = {"flags": SUCCEEDED, "amount": 9}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([Fact()], "pending"),
        ([Fact(flags=FAILED)], "failed"),
        ([Fact(flags=FAILED), Fact(flags=AUTHORIZED)], "authorized"),
        ([Fact(flags=AUTHORIZED), Fact(flags=CANCELED)], "canceled"),
        ([moved("capture", "c", 9, **PAID), Fact(flags=FAILED)], "succeeded"),
        ([moved("capture", "c", 9, **PAID), Fact(flags=CANCELED)], "succeeded"),
        ([Fact(flags=SUCCEEDED)], "succeeded"),
        ([moved("capture", "c", 9, **PAID), moved("capture_failed", "c", 9, flags=CAPTURE_FAILED)], "failed"),
        ([moved("capture", "c", 9, **PAID), Fact(refunds_total=4)], "partially_refunded"),
        ([moved("capture", "c", 9, **PAID), Fact(refunds_total=4), Fact(refunds_total=9)], "refunded"),
        ([moved("capture", "c", 9, **PAID), moved("refund", "r", 9), Fact(refunds_total=9)], "refunded"),
        ([moved("capture", "c", 9, **PAID), moved("refund", "r", 4), moved("refund", "s", 5)], "refunded"),
        ([moved("capture", "c", 9, **PAID), moved("refund", "r", 9), moved("refund_failed", "r", 9)], "succeeded"),
        ([moved("refund_failed", "r", 9), Fact(refunds_total=9), moved("capture", "c", 9, **PAID)], "succeeded"),
    ],
)
async def test_the_status_in_either_order(connection: asyncpg.Connection, facts: list[Fact], status: str) -> None:
    for order in (facts, facts[::-1]):
        async with undone(connection):
            for fact in order:
                await merge(connection, [fact])
            assert await connection.fetchval("SELECT status FROM payments") == status
