"""Histories as Stripe, PayPal and Adyen report them: in any order, with any repeats, batches and workers, the rows
equal the model of what really happened. `--hypothesis-profile=prove` tries many more.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.handlers import Connection, Handlers, PaymentFact
from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import KINDS
from sql import load
from tests.support import ledger_model as model
from tests.support.books import empty_books
from tests.support.consuming import Workers
from tests.support.ledger_model import Life, Rows
from tests.support.stories import adyen, paypal, stripe
from tests.support.stories.base import Contradiction, Story

MakeStories = Callable[..., st.SearchStrategy[Story]]

PROVIDERS: dict[str, MakeStories] = {"stripe": stripe.stories, "paypal": paypal.stories, "adyen": adyen.stories}
every_provider = pytest.mark.parametrize("make", PROVIDERS.values(), ids=PROVIDERS.keys())

TRUST = {provider: PostingRules(trust="all") for provider in PROVIDERS}

SHARE_DIRECT, SHARE_CONTRADICTING, SHARE_WORKERS = 0.4, 0.2, 0.02
"""Shares of the profile's examples, for each provider."""

CALL_TIMEOUT_S = 10.0

HAPPENS = sorted(KINDS - {"pending", "refunded_total"})
"""Every kind that a handler can wait for."""


def some(share: float) -> settings:
    """Return the settings with this share of the profile's examples."""
    count = round(settings().max_examples * share)
    return settings(
        deadline=None, max_examples=count,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


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
EVERYTHING = ("SELECT * FROM payments", "SELECT * FROM disputes", TRANSFERS, "SELECT * FROM balances")


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
async def applied(connection: asyncpg.Connection, batches: Batches) -> AsyncIterator[After]:
    """Apply batches as a worker does, and roll back at the end. Every event counts as new: there is no marker."""
    happened: list[tuple[str, str, str]] = []
    handlers = builtin(TRUST).joined_with(listening(happened))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT pg_current_xact_id()")  # as the claim does, which is not made here
    try:
        for batch in batches:
            once = {event.event_id: event for event in batch}  # within a batch, the claim sees to that
            await handlers.apply(connection, list(once.values()), CALL_TIMEOUT_S, lambda: None)
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


# Consistent histories.


@some(SHARE_DIRECT)
@given(data=st.data())
@every_provider
async def test_rows_equal_the_model_in_any_order_with_any_repeats_and_batches(
    connection: asyncpg.Connection, make: MakeStories, data: st.DataObject
) -> None:
    history = data.draw(histories(make))
    one, another = history.ways
    async with applied(connection, one) as first:
        await assert_model(connection, history)
    async with applied(connection, another) as second:
        assert second.tables == first.tables
    assert second.happened == first.happened
    assert len(set(first.happened)) == len(first.happened)


@some(SHARE_WORKERS)
@given(data=st.data())
@every_provider
async def test_rows_equal_the_model_with_two_workers(workers: Workers, make: MakeStories, data: st.DataObject) -> None:
    history = data.draw(histories(make))
    handlers, size = builtin(TRUST), data.draw(st.integers(1, 8))
    for event in (event for batch in history.ways[0] for event in batch):
        await workers.stream.publish(event)
    async with workers.working(handlers, batch_size=size), workers.working(handlers, batch_size=size):
        await workers.drained()
    try:
        await assert_model(workers.connection, history)
        await workers.assert_all_acked()
    finally:
        await empty_books(workers.connection)
        await workers.redis.delete(workers.keys.events, workers.keys.epoch, workers.keys.account, workers.keys.applied)


# Contradicting histories: one transfer is reported with two amounts, or in two currencies.

STOPPED = load("invariants")["conflict_without_decision"]


@some(SHARE_CONTRADICTING)
@given(data=st.data())
@every_provider
async def test_a_contradiction_stops_only_its_payment(
    connection: asyncpg.Connection, make: MakeStories, data: st.DataObject
) -> None:
    history = data.draw(histories(make, contradicts=True).filter(lambda each: each.twisted and is_contradiction(each)))
    assert history.twisted
    seen: list[Any] = []
    for way in history.ways:
        async with applied(connection, way) as after:
            seen.append(after.tables[:2])
            await assert_stopped(connection, history)
    assert seen[1:] == seen[:-1]


def is_contradiction(history: History) -> bool:
    assert history.twisted
    return history.other != (history.twisted.amount, history.twisted.life.currency)


async def assert_stopped(connection: asyncpg.Connection, history: History) -> None:
    """Only that payment is stopped. Its row has the larger amount, and at most one of the two reports is booked."""
    assert history.twisted
    life, key = history.twisted.life, f"{history.twisted.kind}:{history.twisted.id}"
    reports = [(history.twisted.amount, life.currency), history.other]
    booked = [tuple(row)[4:] for row in await rows(connection, TRANSFERS) if row[0] == key]
    assert len(booked) <= 1
    assert set(booked) <= set(reports)
    findings = await connection.fetch(STOPPED)
    assert {finding["payment_id"] for finding in findings} == {life.payment_id}
    if history.other[1] == life.currency:
        assert len(booked) == 1
        assert [finding["movement"] for finding in findings] == [key]
        assert await rows(connection, PAYMENTS) == same(model.payments(with_the_larger(history)))
    others = [each for each in history.lives if each is not life]
    assert [row for row in await rows(connection, TRANSFERS) if row[1] != life.payment_id] == same(
        model.transfers(others, history.provider)
    )


def with_the_larger(history: History) -> list[Life]:
    """Return what happened if the larger amount is the true one."""
    assert history.twisted
    kind, id_, larger = history.twisted.kind, history.twisted.id, max(history.twisted.amount, history.other[0])
    lives = []
    for life in history.lives:
        copy = deepcopy(life)
        if life is history.twisted.life and kind == "capture":
            copy.captures = [replace(each, amount=larger) if each.id == id_ else each for each in life.captures]
            copy.amount = max(life.amount, larger)
        elif life is history.twisted.life:
            copy.refunds = [replace(each, amount=larger) if each.id == id_ else each for each in life.refunds]
        lives.append(copy)
    return lives
