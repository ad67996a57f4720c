"""Histories of payments as their providers report them, in any way, and the rows that they must leave."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import asyncpg
from hypothesis import strategies as st

from consumers.handlers import Connection, Handlers, PaymentFact
from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import KINDS
from sql import columns, load
from tests.support import ledger_model as model
from tests.support.ledger_model import Life, Rows
from tests.support.stories import adyen, paypal, stripe
from tests.support.stories.base import Contradiction, Story

MakeStories = Callable[..., st.SearchStrategy[Story]]

PROVIDERS: dict[str, MakeStories] = {"stripe": stripe.stories, "paypal": paypal.stories, "adyen": adyen.stories}
TRUST = {provider: PostingRules(trust="all") for provider in PROVIDERS}

CALL_TIMEOUT_S = 10.0

EVENTS = load("events")

HAPPENS = sorted(KINDS - {"pending", "refunded_total"})
"""Every kind that a handler can wait for."""

MOVE = "SELECT archive_payments(now() + interval '1000 years', 0, 100000, interval '0')"

Batches = list[list[Event]]


@dataclass(frozen=True, slots=True)
class History:
    """What happened, and several ways in which the provider reported it."""

    provider: str
    lives: list[Life]
    ways: list[Batches]
    twisted: Contradiction | None = None
    other: tuple[int, str] = (0, "")

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Show a failing example to Hypothesis: the events by their ids."""
        ids = [[[event.event_id for event in batch] for batch in way] for way in self.ways]
        printer.text(f"{self.lives}, reported as {ids}, {self.twisted} reported as {self.other} too")


@st.composite
def histories(draw: st.DrawFn, make: MakeStories, *, contradicts: bool = False) -> History:
    """Draw one or two payments, mixed."""
    stories = [draw(make(number=number)) for number in range(1, draw(st.integers(1, 2)) + 1)]
    events = [event for story in stories for event in story.events]
    lives = [life for story in stories for life in story.lives]
    if not contradicts:
        return History(stories[0].provider, lives, [draw(ways(events)) for _ in range(2)])
    reportable = [each for story in stories for each in story.contradictions]
    if not reportable:
        return History(stories[0].provider, lives, [])
    twisted = draw(st.sampled_from(reportable))
    other = draw(st.sampled_from([(twisted.amount * 2, twisted.life.currency), (twisted.amount * 100, "EUR"),
                                  (twisted.amount, "EUR"), (100, twisted.life.currency)]))  # fmt: skip
    events.append(twisted.event_with(*other))
    return History(stories[0].provider, lives, [draw(ways(events)) for _ in range(3)], twisted, other)


@st.composite
def ways(draw: st.DrawFn, events: Sequence[Event]) -> Batches:
    """Draw an order, with repeats, in batches."""
    order = draw(st.permutations([*events, *draw(st.lists(st.sampled_from(events), max_size=4))]))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(order)), max_size=4))), len(order)]
    return [list(order[start:end]) for start, end in pairwise(cuts) if start < end]


# What is asked of the database.

PAYMENTS = """
    SELECT payment_id, status, currency, amount, captured, refunded, disputed FROM payments
    ORDER BY payment_id COLLATE "C"
"""
DISPUTES = """
    SELECT payment_id, split_part(dispute_id, ':', 1) AS id, currency, max(amount),
        CASE WHEN bool_or(lost) THEN 'lost' WHEN bool_or(won OR reinstated) THEN 'won' ELSE 'open' END
    FROM disputes GROUP BY payment_id, id, currency
"""
TRANSFERS = "SELECT movement, payment_id, debit_account, credit_account, amount, currency FROM transfers"
BALANCES = "SELECT account, currency, balance FROM balances"
ROWS = "SELECT to_jsonb(payments) - 'recorded_at' FROM payments"
EVERYTHING = (ROWS, "SELECT * FROM disputes", TRANSFERS, "SELECT * FROM balances")


async def rows(connection: asyncpg.Connection, query: str) -> Rows:
    return sorted((tuple(row) for row in await connection.fetch(query)), key=repr)


def same(rows_: Rows) -> Rows:
    return sorted(rows_, key=repr)


async def assert_model(connection: asyncpg.Connection, history: History) -> None:
    assert await rows(connection, PAYMENTS) == same(model.payments(history.lives))
    assert await rows(connection, DISPUTES) == same(model.disputes(history.lives))
    assert await rows(connection, TRANSFERS) == same(model.transfers(history.lives, history.provider))
    assert await rows(connection, BALANCES) == same(model.balances(history.lives, history.provider))


@dataclass(slots=True)
class After:
    """The tables and facts after one way."""

    tables: list[Rows]
    happened: list[tuple[str, str, str]]


@asynccontextmanager
async def applied(
    connection: asyncpg.Connection, batches: Batches, moves: Collection[int] = ()
) -> AsyncIterator[After]:  # fmt: skip
    """Apply batches as a worker does, and roll back at the end. Every event counts as new: there is no marker.

    After the batches with these numbers, all payments that may move go to the archive.
    """
    happened: list[tuple[str, str, str]] = []
    handlers = builtin(TRUST).joined_with(listening(happened))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT pg_current_xact_id()")  # as the claim does, which is not made here
    try:
        for number, batch in enumerate(batches):
            once = {event.event_id: event for event in batch}  # within a batch, the claim sees to that
            await connection.execute(*EVENTS.bind("lock_resources", **columns(batch, "namespace", "resource")))
            await handlers.apply(connection, list(once.values()), CALL_TIMEOUT_S, lambda: None)
            if number in moves:
                await connection.execute(MOVE)
        yield After([await rows(connection, query) for query in EVERYTHING], sorted(happened))
    finally:
        await transaction.rollback()


def listening(happened: list[tuple[str, str, str]]) -> Handlers:
    """Return handlers that record every fact they receive."""
    handlers = Handlers()

    async def note(_: Connection, __: Event, fact: PaymentFact) -> None:
        happened.append((fact.kind, fact.payment_id, fact.object))

    for kind in HAPPENS:
        handlers.on_fact(kind)(note)  # type: ignore[arg-type] # they are kinds
    return handlers
