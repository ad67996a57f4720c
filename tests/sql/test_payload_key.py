"""The key of the payloads of an older release gets the time first, while workers write and readers read."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from sql import load, payload_key
from sql.connect import connect
from sql.migrate import MigrationError, migrate
from tests.support.batches import Row, keep_payloads
from tests.support.wait import until

WAIT_S = 10.0

AS_BEFORE = """
ALTER TABLE payloads DROP CONSTRAINT payloads_pkey;
ALTER TABLE payloads ADD CONSTRAINT payloads_pkey PRIMARY KEY (namespace, event_id, received_at);
"""
KEYS = """
SELECT DISTINCT pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'p' AND (conrelid = 'payloads'::regclass
    OR conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'payloads'::regclass))
"""
TIME_FIRST = ["PRIMARY KEY (received_at, namespace, event_id)"]
INDEXES = "SELECT count(*) FROM pg_index WHERE indrelid::regclass::text LIKE 'payloads%'"
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
BUILDING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE UNIQUE INDEX CONCURRENTLY%'
"""
OLD = Row("evt_old", "1-0", received_at=datetime(1999, 1, 1, tzinfo=UTC))


def row(number: int) -> Row:
    return Row(f"evt_{number}", f"{number}-1", received_at=datetime.now(UTC))


async def keys(connection: asyncpg.Connection) -> list[str]:
    return [found[0] for found in await connection.fetch(KEYS)]


@pytest.fixture
async def before(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A database whose payloads are found by random ids first, with a row of this month and one without a month."""
    await connection.execute(AS_BEFORE)
    await keep_payloads(connection, [row(1), OLD])
    return connection


async def test_workers_write_while_the_key_is_built_and_an_interrupted_build_is_done_again(
    before: asyncpg.Connection, database_url: str
) -> None:
    indexes = await before.fetchval(INDEXES)
    async with connect(database_url, timeout_s=WAIT_S) as worker, connect(database_url, timeout_s=WAIT_S) as another:
        async with worker.transaction():
            await keep_payloads(worker, [row(2)])
            building = asyncio.create_task(migrate(before, lock_wait_s=WAIT_S))
            await until(lambda: another.fetchval(BUILDING), what="an index waits for the first worker")
            await asyncio.wait_for(keep_payloads(another, [row(3)]), WAIT_S)
            building.cancel()
            await asyncio.wait([building])
        assert await another.fetch(INVALID) != []
        assert await migrate(another, lock_wait_s=WAIT_S) == []
        assert await keys(another) == TIME_FIRST
        assert await another.fetch(INVALID) == []
        assert await another.fetchval(INDEXES) == indexes
        assert await another.fetchval("SELECT count(*) FROM payloads") == 4


async def test_the_swap_lets_go_for_a_long_reader_and_is_done_by_the_next_migration(
    before: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload_key, "SWAP_ATTEMPTS", 1)
    async with connect(database_url, timeout_s=WAIT_S) as reader:
        async with reader.transaction():
            await reader.execute("LOCK TABLE payloads IN ACCESS SHARE MODE")  # a snapshot would hold up the build
            with pytest.raises(MigrationError, match="others hold the table"):
                await migrate(before, lock_wait_s=WAIT_S)
            await asyncio.wait_for(keep_payloads(before, [row(2)]), WAIT_S)
        await migrate(before, lock_wait_s=WAIT_S)
    assert await keys(before) == TIME_FIRST


async def test_a_payload_is_kept_once_and_a_later_month_has_the_same_key(before: asyncpg.Connection) -> None:
    await migrate(before, lock_wait_s=WAIT_S)
    with pytest.raises(asyncpg.UniqueViolationError):
        await keep_payloads(before, [OLD])
    await before.execute(*load("events").bind("ensure_payload_partitions", months_ahead=12))
    assert await keys(before) == TIME_FIRST
