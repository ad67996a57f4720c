"""A pooler that takes away what workers set for their session is named, and nothing is applied through it.

Run by `make test-pooler`, which needs Debian's package pgbouncer.
"""

import asyncpg
import pytest
from pydantic import SecretStr

from consumers import store
from consumers.settings import Settings
from operations.servers import Servers
from sql.connect import UnreachableError, open_connection
from sql.pooler import NEEDED, PoolerError
from tests.support.consuming import QUICK, Workers
from tests.support.pgbouncer import pooling
from tests.support.wait import until

IGNORED = ", ".join((*NEEDED, "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"))
"""What workers set and PgBouncer refuses, unless it is set to ignore it."""

MODES = ("transaction", "session")


def through(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update=QUICK | {"database_url": SecretStr(url)})


def direct(workers: Workers) -> str:
    return workers.settings.database_url.get_secret_value()


@pytest.mark.parametrize(("ignored", "why"), [("", "refuses"), (IGNORED, "drops")])
@pytest.mark.parametrize("mode", MODES)
async def test_a_worker_names_the_pooler_applies_nothing_and_loses_nothing(
    workers: Workers, mode: str, ignored: str, why: str
) -> None:
    await workers.publish(3)
    with pooling(direct(workers), mode, ignored=ignored) as url:
        async with workers.working(max_attempts=1, database_url=SecretStr(url)) as running:
            await until(lambda: f"a pooler {why}" in str(running.progress.reason), what="the pooler is named")
            assert "DATABASE_URL" in str(running.progress.reason)
            assert await workers.events() == []
    async with workers.working(max_attempts=1):
        await workers.drained()
    assert (len(await workers.events()), await workers.dead()) == (3, [])


async def test_the_settings_that_are_lost_are_named_with_both_values(workers: Workers) -> None:
    with pooling(direct(workers), "session", ignored=IGNORED) as url:
        async with await store.open_pool(through(workers.settings, url), "worker-1") as pool:
            with pytest.raises(PoolerError, match="statement_timeout is 0 instead of 3s"):
                await pool.fetchval("SELECT 1")


async def test_a_commit_that_a_crash_may_lose_is_refused_even_where_the_limits_are_kept(workers: Workers) -> None:
    limits = {name: value for name, value in wanted(workers.settings).items() if name != "synchronous_commit"}
    await keep(workers.connection, limits | {"synchronous_commit": "off"})
    with pooling(direct(workers), "session", ignored=IGNORED) as url:
        async with await store.open_pool(through(workers.settings, url), "worker-1") as pool:
            with pytest.raises(PoolerError, match=r"\(synchronous_commit is off instead of on\)"):
                await pool.fetchval("SELECT 1")


async def test_workers_work_through_sessions_whose_database_has_their_settings(workers: Workers) -> None:
    await keep(workers.connection, wanted(workers.settings))
    await workers.publish(20)
    with pooling(direct(workers), "session", ignored=IGNORED, servers=10) as url:
        async with workers.working(database_url=SecretStr(url)):
            await workers.drained()
    assert (len(await workers.events()), await workers.dead()) == (20, [])


async def test_a_command_names_a_pooler_that_changes_its_session(workers: Workers) -> None:
    with pooling(direct(workers), "transaction") as url:
        other = await open_connection(url)

        async def command() -> None:
            async with Servers(through(workers.settings, url)).postgres() as connection:
                await connection.fetchval("SELECT 1")
                async with other.transaction():  # takes the session in which the statement is prepared
                    await connection.fetchval("SELECT 1")

        try:
            with pytest.raises(UnreachableError, match=r"A pooler changes the session .* DATABASE_URL"):
                await command()
        finally:
            other.terminate()


def wanted(settings: Settings) -> dict[str, str]:
    """What workers set, for quick settings."""
    quick = settings.model_copy(update=QUICK)
    return {
        "synchronous_commit": "on",
        "statement_timeout": f"{quick.statement_timeout_s}s",
        "lock_timeout": f"{quick.batch_lock_timeout_ms}ms",
        "idle_in_transaction_session_timeout": f"{quick.transaction_idle_s}s",
    }


async def keep(connection: asyncpg.Connection, values: dict[str, str]) -> None:
    """Let each new session of this test's database begin with these."""
    database = await connection.fetchval("SELECT current_database()")
    for name, value in values.items():
        await connection.execute(f"ALTER DATABASE {database} SET {name} = '{value}'")
