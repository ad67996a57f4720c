"""With DATABASE_POOLER=transaction, workers and commands work through PgBouncer in transaction mode."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from consumers import store
from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from consumers.settings import Settings
from contract.event import Event
from operations.servers import Servers
from sql.connect import connect
from tests.support.consuming import QUICK, QUICK_ENV, Workers
from tests.support.pgbouncer import pooling
from tests.support.processes import Programs
from tests.support.servers import ValkeyServer, as_user
from tests.support.wait import until

POOLED: dict[str, Any] = {"database_pooler": "transaction"}


@pytest.fixture
def url(workers: Workers) -> Iterator[str]:
    """The test's database through a PgBouncer that refuses each setting of a session."""
    with pooling(workers.settings.database_url.get_secret_value(), "transaction", servers=3) as url:
        yield url


@pytest.fixture
def pooled(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update=QUICK | POOLED | {"database_url": SecretStr(url)})


@pytest_asyncio.fixture
async def pool(pooled: Settings) -> AsyncIterator[Any]:
    """A worker's pool."""
    async with await store.open_pool(pooled, "worker-1") as pool:
        yield pool


async def test_every_transaction_has_the_settings_and_a_default_of_off_does_not_win(
    workers: Workers, pool: Any
) -> None:
    database = await workers.connection.fetchval("SELECT current_database()")
    await workers.connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = 'off'")
    shown: dict[str, str] = {}
    async with pool.acquire() as connection, connection.transaction():
        for name in ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            shown[name] = await connection.fetchval(f"SHOW {name}")
    assert list(shown.values()) == ["on", "3s", "250ms", "1s"]
    assert await pool.fetchval("SHOW synchronous_commit") == "on"
    async with connect(workers.settings.database_url.get_secret_value(), timeout_s=5) as direct:
        assert await direct.fetchval("SHOW synchronous_commit") == "off"


async def test_statements_find_their_session_while_others_take_it(pool: Any) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        for number in range(5):
            assert await one.fetchval("SELECT $1::integer", number) == number
            async with other.transaction():
                assert await one.fetchval("SELECT $1::integer", number) == number
                assert await other.fetchval("SELECT 'another'") == "another"


async def test_a_statement_that_fails_leaves_no_transaction_open(pool: Any) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1 / $1::integer", 0)
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_prepared_statement_of_a_handler_meets_no_other(pool: Any) -> None:
    async with pool.acquire() as connection:
        for number in range(3):
            async with connection.transaction():
                statement = await connection.prepare("SELECT $1::integer")
                assert await connection.fetchval("SELECT 'between'") == "between"
                assert await statement.fetchval(number) == number


async def test_a_handler_that_ends_its_transaction_is_noticed(workers: Workers, pooled: Settings) -> None:
    async def end(connection: Connection, _event: Event) -> None:
        await connection.execute("COMMIT")

    handlers = Handlers()
    handlers.on("stripe", "payment_intent.succeeded")(end)
    await workers.publish(1)
    async with workers.working(handlers, max_attempts=2, **changes(pooled)):
        await until(workers.dead, what="the event is dead")
    ((_, reason),) = await workers.rows("SELECT entry_id, reason FROM dead_letters")
    assert "ended the transaction" in reason


async def test_the_process_that_a_lone_attempt_waits_in_is_the_servers(pool: Any) -> None:
    began: list[int] = []
    async with store.exclusive_transaction(pool, [], 2, 1, began.append) as (connection, _):
        assert began == [await connection.fetchval("SELECT pg_backend_pid()")]


async def test_two_workers_apply_everything_and_a_command_reads_it(workers: Workers, pooled: Settings) -> None:
    await workers.publish(200)
    async with workers.working(HANDLERS, **changes(pooled)), workers.working(HANDLERS, **changes(pooled)):
        await workers.drained()
    assert (len(await workers.events()), await workers.dead()) == (200, [])
    async with Servers(pooled).postgres() as connection:
        assert await connection.fetchval("SELECT count(*) FROM events") == 200


async def test_killed_workers_lose_and_double_nothing(
    workers: Workers, url: str, valkey: ValkeyServer, programs: Programs
) -> None:
    environment = QUICK_ENV | {
        "REDIS_URL": as_user("workers", valkey.url), "DATABASE_URL": url, "KEY_PREFIX": workers.keys.prefix,
        "CONSUMERS_METRICS_PORT": "0", "DATABASE_POOLER": "transaction", "BATCH_SIZE": "20",
    }  # fmt: skip
    await workers.publish(400)
    started = [programs.start("consumers", environment) for _ in range(2)]
    for killed in range(3):

        async def goes_on(least: int = 60 * killed + 20) -> bool:
            return len(await workers.events()) >= least

        await until(goes_on, what="work goes on")
        started.pop(0).kill()
        started.append(programs.start("consumers", environment))
    await workers.drained()
    assert (len(await workers.events()), await workers.dead()) == (400, [])
    assert await workers.rows("SELECT event_id FROM events GROUP BY 1 HAVING count(*) > 1") == []


def test_migrate_asks_for_an_address_without_a_pooler(url: str, programs: Programs) -> None:
    child = programs.start("sql", {"DATABASE_URL": url, "DATABASE_POOLER": "transaction"}, ("migrate",))
    assert child.wait() == 2
    assert "MIGRATE_DATABASE_URL" in child.log


def changes(pooled: Settings) -> dict[str, Any]:
    return POOLED | {"database_url": pooled.database_url}
