"""Order-free: a payment's row depends on the set of facts told about it, not on their order, batches or repeats."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql import load

MERGE = load("payments")["merge_payments"]
MAXIMUM = 2**63 - 1
DAYS = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]


@dataclass(frozen=True, slots=True)
class Fact:
    """What one event tells about one payment, in the order of the query's parameters."""

    namespace: str = "stripe"
    payment_id: str = "pi_1"
    provider: str = "stripe"
    currency: str | None = "EUR"
    amount: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    final_amount: int | None = None
    authorized: bool = False
    succeeded: bool = False
    failed: bool = False
    canceled: bool = False
    occurred_at: datetime | None = None


MONEY = st.one_of(st.integers(0, 3), st.just(MAXIMUM))
FACTS = st.builds(
    Fact,
    payment_id=st.sampled_from(["pi_1", "pi_2"]),
    provider=st.sampled_from(["stripe", "hmac"]),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    amount=MONEY,
    captured=MONEY,
    refunded=MONEY,
    disputed=MONEY,
    final_amount=st.one_of(st.none(), MONEY),
    authorized=st.booleans(),
    succeeded=st.booleans(),
    failed=st.booleans(),
    canceled=st.booleans(),
    occurred_at=st.one_of(st.none(), st.sampled_from(DAYS)),
)


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


async def merge(connection: asyncpg.Connection, facts: list[Fact]) -> None:
    await connection.execute(MERGE, *(list(column) for column in zip(*map(astuple, facts), strict=True)))


async def rows_after(connection: asyncpg.Connection, batches: list[list[Fact]]) -> list[tuple[object, ...]]:
    async with undone(connection):
        for batch in batches:
            await merge(connection, batch)
        return [tuple(row) for row in await connection.fetch("SELECT * FROM payments ORDER BY namespace, payment_id")]


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
@given(facts=st.lists(FACTS, min_size=1, max_size=6))
async def test_only_facts_that_disagree_make_a_contradiction(connection: asyncpg.Connection, facts: list[Fact]) -> None:
    rows = await rows_after(connection, [[fact] for fact in facts])
    for row in rows:
        told = [fact for fact in facts if fact.payment_id == row[1]]
        currencies = {fact.currency for fact in told}
        finals = {fact.final_amount for fact in told} - {None}
        async with undone(connection):
            for fact in told:
                await merge(connection, [fact])
            contradicted = await connection.fetchval("SELECT contradicted FROM payments")
        assert contradicted == (len(currencies) > 1 or len(finals) > 1)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([Fact()], "pending"),
        ([Fact(failed=True)], "failed"),
        ([Fact(failed=True), Fact(authorized=True)], "authorized"),
        ([Fact(authorized=True), Fact(canceled=True)], "canceled"),
        ([Fact(succeeded=True, amount=9, captured=9), Fact(failed=True)], "succeeded"),
        ([Fact(succeeded=True, amount=9, captured=9), Fact(refunded=4)], "partially_refunded"),
        ([Fact(succeeded=True, amount=9, captured=9), Fact(refunded=4), Fact(refunded=9)], "refunded"),
        ([Fact(succeeded=True, amount=9, captured=9), Fact(disputed=9), Fact(refunded=9)], "disputed"),
    ],
)
async def test_the_status_in_either_order(connection: asyncpg.Connection, facts: list[Fact], status: str) -> None:
    for order in (facts, facts[::-1]):
        async with undone(connection):
            for fact in order:
                await merge(connection, [fact])
            assert await connection.fetchval("SELECT status FROM payments") == status
