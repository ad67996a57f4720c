"""Histories as Stripe, PayPal and Adyen report them: in any order, with any repeats, batches and workers, the rows
equal the model of what really happened. `--hypothesis-profile=prove` tries many more.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.handlers.payments import builtin
from sql import load
from tests.support import ledger_model as model
from tests.support.books import empty_books
from tests.support.consuming import Workers
from tests.support.ledger_model import Life
from tests.support.reported_histories import (
    PAYMENTS,
    PROVIDERS,
    TRANSFERS,
    TRUST,
    History,
    MakeStories,
    applied,
    assert_model,
    histories,
    rows,
    same,
)

every_provider = pytest.mark.parametrize("make", PROVIDERS.values(), ids=PROVIDERS.keys())

SHARE_DIRECT, SHARE_CONTRADICTING, SHARE_WORKERS = 0.4, 0.2, 0.02
"""Shares of the profile's examples, for each provider."""


def some(share: float) -> settings:
    """Return the settings with this share of the profile's examples."""
    count = round(settings().max_examples * share)
    return settings(
        deadline=None, max_examples=count,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


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
        async with applied(connection, way, range(0, len(way), 2)) as after:
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
