"""Migrations: twice, at once, back and forth, broken; and the partitions of the payloads."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from pogo_core.util import migrate as pogo

from sql import load
from sql.connect import UnreachableError, connect
from sql.migrate import MIGRATIONS, SCHEMA, MigrationError, migrate, status
from tests.support.batches import Row, keep_payloads
from tests.support.servers import PostgresServer
from tests.support.wait import until

NAMES = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
WAIT_S = 10.0
TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '%pogo%' ORDER BY 1"
)
PARTITIONS = (
    "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ '_[0-9]{4}_[0-9]{2}$' ORDER BY 1"
)

VACUUMED = """
SELECT relname, reloptions FROM pg_class JOIN pg_inherits ON inhrelid = oid
WHERE inhparent = 'payloads'::regclass
"""
SOON = ["autovacuum_vacuum_insert_scale_factor=0", "autovacuum_vacuum_insert_threshold=50000"]


@pytest.fixture
async def empty(empty_database_url: str) -> asyncpg.Connection:
    async with connect(empty_database_url, timeout_s=WAIT_S) as connection:
        yield connection


async def test_a_second_migration_applies_nothing(empty: asyncpg.Connection) -> None:
    assert [m.applied_at for m in await status(empty)] == [None] * len(NAMES)
    assert await migrate(empty, lock_wait_s=WAIT_S) == NAMES
    assert await migrate(empty, lock_wait_s=WAIT_S) == []
    assert [m.name for m in await status(empty) if m.applied_at and m.known] == NAMES


async def test_concurrent_migrations_apply_each_file_once(empty_database_url: str) -> None:
    async def one() -> list[str]:
        async with connect(empty_database_url, timeout_s=WAIT_S) as connection:
            return await migrate(connection, lock_wait_s=WAIT_S)

    applied = await asyncio.gather(*(one() for _ in range(4)))
    assert sorted(applied) == [[], [], [], NAMES]


async def test_a_migration_that_waits_too_long_for_the_lock_is_an_error(
    empty: asyncpg.Connection, empty_database_url: str
) -> None:
    await empty.execute(load("migrations")["lock_migrations"])
    async with connect(empty_database_url, timeout_s=WAIT_S) as another:
        with pytest.raises(TimeoutError):
            await migrate(another, lock_wait_s=0.1)
    assert not await empty.fetchval(load("migrations")["has_migrations"])


async def test_rollback_leaves_nothing_and_can_be_followed_by_apply(empty: asyncpg.Connection) -> None:
    await migrate(empty, lock_wait_s=WAIT_S)
    tables = await empty.fetch(TABLES)
    await pogo.rollback(empty, MIGRATIONS, schema_name=SCHEMA)
    assert await empty.fetch(TABLES) == []
    assert await empty.fetch("SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == []
    assert await migrate(empty, lock_wait_s=WAIT_S) == NAMES
    assert await empty.fetch(TABLES) == tables


EVENT = """
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
VALUES ('acme', $1, 'stripe', 'stripe', '1-1', 'payment_intent.succeeded', 'pi_1', 'body', now())
"""
BUILDING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONCURRENTLY%'
"""
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"


async def test_workers_write_while_indexes_are_built_and_a_build_that_failed_is_made_again(
    empty: asyncpg.Connection, empty_database_url: str, tmp_path: Path
) -> None:
    for name in (name for name in NAMES if name < "0012"):
        (tmp_path / f"{name}.sql").write_text((MIGRATIONS / f"{name}.sql").read_text())
    await migrate(empty, lock_wait_s=WAIT_S, folder=tmp_path)
    async with (
        connect(empty_database_url, timeout_s=WAIT_S) as worker,
        connect(empty_database_url, timeout_s=WAIT_S) as another,
    ):
        async with worker.transaction():
            await worker.execute(EVENT, "evt_1")
            building = asyncio.create_task(migrate(empty, lock_wait_s=WAIT_S))
            await until(lambda: another.fetchval(BUILDING), what="an index waits for the first worker")
            await another.execute(EVENT, "evt_2", timeout=WAIT_S)
            building.cancel()
            await asyncio.wait([building])
        assert [row[0] for row in await another.fetch(INVALID)] == ["events_by_time"]
        assert await migrate(empty, lock_wait_s=WAIT_S) == [name for name in NAMES if name >= "0012"]
        assert await another.fetch(INVALID) == []


async def test_a_broken_migration_leaves_no_trace(empty: asyncpg.Connection, tmp_path: Path) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "9999_broken.sql").write_text(
        f"-- Breaks\n-- depends: {NAMES[-1]}\n-- migrate: apply\nCREATE TABLE half (a integer);\nSELECT nothing;\n"
        "-- migrate: rollback\n"
    )
    with pytest.raises(MigrationError, match='9999_broken: column "nothing" does not exist'):
        await migrate(empty, lock_wait_s=WAIT_S, folder=tmp_path)
    assert [m.name for m in await status(empty, tmp_path) if not m.applied_at] == ["9999_broken"]
    assert await empty.fetchval("SELECT to_regclass('half')") is None


async def test_a_migration_of_a_newer_program_is_shown(empty: asyncpg.Connection, tmp_path: Path) -> None:
    await migrate(empty, lock_wait_s=WAIT_S)
    assert [(m.name, m.known) for m in await status(empty, tmp_path)] == [(name, False) for name in NAMES]


async def test_this_month_and_the_next_two_have_a_partition(connection: asyncpg.Connection) -> None:
    assert len(await connection.fetch(PARTITIONS)) == 3
    await keep_payloads(connection, [Row("evt_1", "1-0", received_at=datetime.now(UTC))])
    assert await connection.fetchval("SELECT count(*) FROM payloads_default") == 0


async def test_concurrent_workers_can_create_partitions(connection: asyncpg.Connection, database_url: str) -> None:
    async def ask() -> None:
        async with connect(database_url, timeout_s=WAIT_S) as worker:
            await worker.execute(*load("events").bind("ensure_payload_partitions", months_ahead=12))

    await asyncio.gather(*(ask() for _ in range(6)))
    assert len(await connection.fetch(PARTITIONS)) == 13


@pytest.mark.parametrize("months_ahead", [25, 100_000, -1, None])
async def test_a_wrong_number_of_months_makes_no_partition(
    connection: asyncpg.Connection, months_ahead: int | None
) -> None:
    before = await connection.fetch(PARTITIONS)
    with pytest.raises(asyncpg.RaiseError, match=f"0 to 24 months ahead, not for {months_ahead or 'null'}"):
        await connection.execute("SELECT ensure_payload_partitions($1)", months_ahead)
    assert await connection.fetch(PARTITIONS) == before


async def test_autovacuum_comes_soon_to_each_partition_of_before_and_of_later(
    empty: asyncpg.Connection, tmp_path: Path
) -> None:
    for name in (name for name in NAMES if name < "0026"):
        (tmp_path / f"{name}.sql").write_text((MIGRATIONS / f"{name}.sql").read_text())
    await migrate(empty, lock_wait_s=WAIT_S, folder=tmp_path)
    of_before = await empty.fetch(VACUUMED)
    assert {row["reloptions"] for row in of_before} == {None}
    await migrate(empty, lock_wait_s=WAIT_S)
    await empty.execute(*load("events").bind("ensure_payload_partitions", months_ahead=3))
    later = await empty.fetch(VACUUMED)
    assert len(later) == len(of_before) + 1
    assert all(row["reloptions"] == SOON for row in later)


async def test_a_late_partition_takes_its_payloads_from_the_default_partition(connection: asyncpg.Connection) -> None:
    partition = (await connection.fetch(PARTITIONS))[0]["relname"]
    await connection.execute(f"DROP TABLE {partition}")
    now = Row("evt_now", "1-0", received_at=datetime.now(UTC))
    long_ago = Row("evt_old", "2-0", received_at=datetime(1999, 1, 1, tzinfo=UTC))
    await keep_payloads(connection, [now, long_ago])
    assert await connection.fetchval("SELECT count(*) FROM payloads_default") == 2
    await connection.execute(*load("events").bind("ensure_payload_partitions", months_ahead=2))
    assert await connection.fetchval(f"SELECT event_id FROM {partition}") == "evt_now"
    assert await connection.fetchval("SELECT event_id FROM payloads_default") == "evt_old"


async def test_connecting_waits_for_a_server_that_is_starting(private_postgres: PostgresServer) -> None:
    private_postgres.stop()
    with pytest.raises(UnreachableError, match="does not answer"):
        async with connect(private_postgres.url, timeout_s=WAIT_S):
            raise AssertionError
    waiting = asyncio.create_task(_connects(private_postgres.url))
    await private_postgres.restart()
    assert await waiting == 1


async def _connects(url: str) -> int:
    async with connect(url, timeout_s=WAIT_S, wait_s=WAIT_S) as connection:
        return int(await connection.fetchval("SELECT 1"))


async def test_a_wrong_password_is_an_error_at_once_that_does_not_show_it(postgres: PostgresServer) -> None:
    url = postgres.url.replace(postgres.server.password, "not-the-password")
    with pytest.raises(UnreachableError, match="refuses the connection") as caught:
        async with connect(url, timeout_s=WAIT_S, wait_s=WAIT_S):
            raise AssertionError
    assert "not-the-password" not in str(caught.value)
