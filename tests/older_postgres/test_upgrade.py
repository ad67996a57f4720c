"""The data of a real older PostgreSQL is moved: nothing is lost, and what waited in Redis is applied afterwards.

Run by `make test-upgrade`, which needs Debian's package postgresql (15 to 17).
"""

import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from consumers.settings import Settings
from contract.keys import Keys
from sql.audit import audit
from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from stack.postgres import Postgres, PostgresError, embedded_bin_dir, major_of
from stack.postgres_upgrade import upgrade
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, as_worker
from tests.support.events import contract_event
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.stream_states import Stream, settings_for

FOUND = [path for path in sorted(Path("/usr/lib/postgresql").glob("1[5-7]/bin")) if (path / "postgres").exists()]
assert FOUND, "there is no PostgreSQL 15 to 17 in /usr/lib/postgresql"
OLD = FOUND[0]
MAJOR = major_of(OLD / "postgres")
AUDIT_TIMEOUT_S = 60

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"


def with_programs(server: PostgresServer, bin_dir: Path | None) -> None:
    """Let it be of another version from its next start on."""
    server.server = replace(server.server, bin_dir=bin_dir)


async def counts(url: str) -> dict[str, int]:
    """Return the number of rows of each table, once the audit passed."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        assert await audit(connection, timeout_s=AUDIT_TIMEOUT_S) == []
        tables = [row["relname"] for row in await connection.fetch(TABLES)]
        return {name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in tables}


async def apply(server: PostgresServer, stream: Stream, settings: Settings, *, first: int, n: int) -> dict[str, int]:
    """Publish some events, and return the rows once these, and all that waited, are applied."""
    async with connect(server.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        workers = Workers(stream, connection, settings)
        await workers.publish(n, first=first)
        async with workers.working():
            await workers.drained()
        await workers.assert_all_acked()
    return await counts(server.url)


def run(program: str, *arguments: str) -> None:
    """Run a program of the newer version."""
    subprocess.run([embedded_bin_dir() / program, *arguments], check=True, capture_output=True, text=True)


@pytest_asyncio.fixture
async def older(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    """A migrated database of the older version."""
    server = PostgresServer(tmp_path / "postgres")
    with_programs(server, OLD)
    server.start()
    try:
        async with connect(server.url, timeout_s=CONNECT_TIMEOUT_S) as admin:
            await migrate(admin, lock_wait_s=LOCK_WAIT_S)
            await grant_rights(admin, as_worker(server.url))
        yield server
    finally:
        server.kill()


async def test_all_data_is_moved_and_what_waited_meanwhile_is_applied(
    older: PostgresServer, redis: Redis, keys: Keys, valkey: ValkeyServer, key_prefix: str
) -> None:
    settings = settings_for(valkey.url, as_worker(older.url), key_prefix)
    before = await apply(older, Stream(redis, keys), settings, first=0, n=50)
    assert before["events"] == 50
    older.stop()
    for number in range(50, 55):
        await Stream(redis, keys).publish(contract_event(f"evt_{number}", f"pi_{number}"))
    with_programs(older, None)
    with pytest.raises(PostgresError, match=rf"is of PostgreSQL {MAJOR}, and the one that would be started is \d+"):
        older.server.require_version()
    upgrade(older.server, OLD)
    assert (older.data_dir / f"cluster-{MAJOR}" / "PG_VERSION").read_text() == f"{MAJOR}\n"
    older.start()
    assert await counts(older.url) == before
    async with connect(older.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        assert connection.get_server_version().major == older.server.program_major > MAJOR
    after = await apply(older, Stream(redis, keys), settings, first=55, n=0)
    assert after["events"] == 55


async def test_dump_and_restore_as_the_page_says(
    older: PostgresServer, tmp_path: Path, redis: Redis, keys: Keys, valkey: ValkeyServer, key_prefix: str
) -> None:
    stream = Stream(redis, keys)
    before = await apply(older, stream, settings_for(valkey.url, as_worker(older.url), key_prefix), first=0, n=50)
    newer = PostgresServer(tmp_path / "newer", password=older.server.password)
    newer.start()
    try:
        roles, dump = str(tmp_path / "roles.sql"), str(tmp_path / "payments.dump")
        run("pg_dumpall", "--globals-only", f"--file={roles}", f"--dbname={older.url}")
        run("pg_dump", "--format=directory", "--jobs=4", f"--file={dump}", older.url)
        run("psql", "--quiet", f"--file={roles}", newer.url)  # the owner exists already, which is said
        run("pg_restore", "--exit-on-error", "--jobs=4", f"--dbname={newer.url}", dump)
        assert await counts(newer.url) == before
        async with connect(newer.url, timeout_s=CONNECT_TIMEOUT_S) as admin:
            assert await migrate(admin, lock_wait_s=LOCK_WAIT_S) == []
        after = await apply(newer, stream, settings_for(valkey.url, as_worker(newer.url), key_prefix), first=50, n=5)
        assert after["events"] == 55
    finally:
        newer.kill()


async def test_what_cannot_be_upgraded_stays_as_it_is(older: PostgresServer, tmp_path: Path) -> None:
    with_programs(older, None)
    with pytest.raises(PostgresError, match="pg_upgrade failed") as raised:
        upgrade(older.server, OLD)  # it runs
    assert "and the data is as it was" in str(raised.value)
    older.stop()
    with pytest.raises(PostgresError, match=f"and the data is of {MAJOR}; nothing was done"):
        upgrade(older.server, older.server.program("postgres").parent)
    with pytest.raises(PostgresError, match="could not be run"):
        upgrade(older.server, tmp_path)
    (older.data_dir / f"cluster-{MAJOR}").mkdir()
    with pytest.raises(PostgresError, match="where the data of before would be kept"):
        upgrade(older.server, OLD)
    with_programs(older, OLD)
    with pytest.raises(PostgresError, match=f"is of PostgreSQL {MAJOR} already"):
        upgrade(older.server, OLD)
    assert sorted(path.name for path in older.data_dir.iterdir()) == ["cluster", f"cluster-{MAJOR}"]
    older.start()
    connection = await asyncpg.connect(older.url)
    assert connection.get_server_version().major == MAJOR
    await connection.close()


def test_without_data_there_is_nothing_to_upgrade(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match="there is no PostgreSQL data in"):
        upgrade(Postgres(tmp_path, 1, "password"), OLD)
