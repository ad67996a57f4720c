"""What `make demo` reads of the database goes through a pooler, too."""

from asyncio import gather

import pytest

from consumers.settings import Settings
from stack.base import StackError
from stack.demo import check
from tests.support.pgbouncer import pooling

TIMES = 5


async def test_the_demonstration_reads_through_a_pooler_whose_sessions_it_shares(settings: Settings) -> None:
    with pooling(settings.database_url.get_secret_value(), "transaction", servers=2) as url:
        environment = {"DATABASE_URL": url, "DATABASE_POOLER": "transaction"}
        async with (
            check.reading(environment) as first, check.reading(environment) as second,
            check.reading(environment) as third,
        ):  # fmt: skip
            for _ in range(TIMES):
                seen = await gather(*(check.progress(each, ["stripe"], ["evt_1"]) for each in (first, second, third)))
                assert seen == [(0, 0)] * 3
                assert (await check.read_booked_state(second, [], {})).duplicates == 0


async def test_a_database_that_cannot_be_reached_is_a_sentence(settings: Settings) -> None:
    with pooling(settings.database_url.get_secret_value(), "transaction") as url:
        environment = {"DATABASE_URL": url}
    with pytest.raises(StackError, match="PostgreSQL does not answer"):
        async with check.reading(environment):
            raise AssertionError
