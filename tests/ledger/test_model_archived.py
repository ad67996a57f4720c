"""Histories as in test_model.py, while payments and events move to the archive: the rows are the same."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.handlers.payments import builtin
from sql import load
from sql.archive import Archived, archive_since
from tests.support.books import empty_books
from tests.support.consuming import Workers
from tests.support.reported_histories import (
    PROVIDERS,
    TRUST,
    MakeStories,
    applied,
    assert_model,
    histories,
    rows,
)

every_provider = pytest.mark.parametrize("make", PROVIDERS.values(), ids=PROVIDERS.keys())

SHARE_ARCHIVED, SHARE_WORKERS = 0.2, 0.02
"""Shares of the profile's examples, for each provider."""


def some(share: float) -> settings:
    """Return the settings with this share of the profile's examples."""
    count = round(settings().max_examples * share)
    return settings(
        deadline=None, max_examples=count,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


@some(SHARE_ARCHIVED)
@given(data=st.data())
@every_provider
async def test_rows_are_the_same_if_payments_are_archived_between_their_events(
    connection: asyncpg.Connection, make: MakeStories, data: st.DataObject
) -> None:
    history = data.draw(histories(make))
    moves = data.draw(st.sets(st.integers(0, len(history.ways[1]) - 1), min_size=1))
    async with applied(connection, history.ways[0]) as first:
        pass
    async with applied(connection, history.ways[1], moves) as second:
        await assert_model(connection, history)
        assert await rows(connection, APART) == []
    assert second.tables == first.tables
    assert second.happened == first.happened


APART = load("invariants")["transfer_apart_from_its_payment"]


@some(SHARE_WORKERS)
@given(data=st.data())
@every_provider
async def test_rows_equal_the_model_while_everything_is_archived_all_the_time(
    workers: Workers, make: MakeStories, data: st.DataObject
) -> None:
    history = data.draw(histories(make))
    handlers, size = builtin(TRUST), data.draw(st.integers(1, 3))
    for event in (event for way in history.ways for batch in way for event in batch):
        await workers.stream.publish(event)
    try:
        async with workers.working(handlers, batch_size=size), workers.working(handlers, batch_size=size):
            while not await workers.drained_now():
                done = Archived()
                await archive_since(workers.connection, NEVER, done, rolling_upgrade=timedelta())
        await assert_model(workers.connection, history)
        await workers.assert_all_acked()
    finally:
        await empty_books(workers.connection)
        await workers.redis.delete(workers.keys.events, workers.keys.epoch, workers.keys.account, workers.keys.applied)


NEVER = datetime(3000, 1, 1, tzinfo=UTC)
