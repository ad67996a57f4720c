"""The workers' role: it owns nothing, and may do what its statements need and nothing else."""

import asyncpg
import pytest

from sql.connect import connect
from sql.migrate import migrate
from sql.partitions import ensure_payload_partitions
from sql.roles import GRANTS, grant_rights
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, WORKERS_ROLE, as_worker
from tests.support.processes import Programs

OWNED = """
    SELECT relname FROM pg_class WHERE relowner = $1::text::regrole
    UNION ALL SELECT proname FROM pg_proc WHERE proowner = $1::text::regrole
"""
TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
"""
FORBIDDEN = [
    "CREATE TABLE mine (a int)",
    "DROP TABLE events",
    "ALTER TABLE transfers DISABLE TRIGGER ALL",
    "DELETE FROM events",
    "UPDATE events SET type = 'x'",
    "TRUNCATE transfers",
    "TRUNCATE events CASCADE",
    "DELETE FROM transfers",
    "UPDATE transfers SET amount = 1",
    "DELETE FROM duplicates",
    "DELETE FROM payloads",
    "DELETE FROM payments",
    "DELETE FROM dead_letters",
    "DELETE FROM conflicts",
    "DELETE FROM operations",
    "UPDATE operations SET actor = 'x'",
    "TRUNCATE operations",
    "DELETE FROM payloads_default",
    "SELECT pg_read_file('PG_VERSION')",
    "SET session_replication_role = replica",
    "ALTER SYSTEM SET fsync = off",
]


async def test_the_workers_role_owns_nothing(connection: asyncpg.Connection, database_url: str) -> None:
    assert await connection.fetch(OWNED, WORKERS_ROLE) == []
    rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication FROM pg_roles"
    assert await connection.fetchval(f"{rights} WHERE rolname = $1", WORKERS_ROLE) is False
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        assert await worker.fetchval("SELECT current_user") == WORKERS_ROLE


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_workers_cannot_change_what_never_changes(database_url: str, statement: str) -> None:
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)


async def test_the_grants_name_every_table(connection: asyncpg.Connection) -> None:
    grants = GRANTS.read_text()
    assert {row[0] for row in await connection.fetch(TABLES) if f'"{row[0]}"' not in grants} == set()


async def test_workers_make_the_partitions_and_reach_them_through_their_table_only(
    connection: asyncpg.Connection, database_url: str
) -> None:
    months = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'payloads'::regclass"
    (default, *made) = sorted(row[0] for row in await connection.fetch(months))[::-1]
    assert default == "payloads_default"
    for name in made:
        await connection.execute(f"DROP TABLE {name}")
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        await ensure_payload_partitions(worker)
        again = sorted(row[0] for row in await connection.fetch(months))[::-1]
        assert again == [default, *made]
        assert await connection.fetch(OWNED, WORKERS_ROLE) == []
        for name in again:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await worker.execute(f"DELETE FROM {name}")
        assert await worker.fetch("SELECT * FROM payloads") == []


async def test_handlers_may_write_to_the_tables_of_their_team(
    connection: asyncpg.Connection, database_url: str
) -> None:
    await connection.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, paid boolean)")
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        await worker.execute("INSERT INTO orders (paid) VALUES (false)")
        await worker.execute("UPDATE orders SET paid = true")
        await worker.execute("DELETE FROM orders")


async def test_tables_that_a_team_made_before_are_its_handlers_too(empty_database_url: str) -> None:
    async with connect(empty_database_url, timeout_s=CONNECT_TIMEOUT_S) as owner:
        await migrate(owner, lock_wait_s=LOCK_WAIT_S)
        await owner.execute("CREATE TABLE orders (id bigint)")
        assert await grant_rights(owner, as_worker(empty_database_url)) == WORKERS_ROLE
    async with connect(as_worker(empty_database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        await worker.execute("INSERT INTO orders VALUES (1)")


async def test_migrate_makes_the_role_of_database_url(programs: Programs, empty_database_url: str) -> None:
    def env(password: str) -> dict[str, str]:
        worker = empty_database_url.partition("@")[2]
        url = f"postgresql://a%20new%22role:{password}@{worker}"
        return {"MIGRATE_DATABASE_URL": empty_database_url, "DATABASE_URL": url}

    try:
        for password in ("first", "sec%27ond"):  # a changed password is changed in the database
            code, output, errors = await programs.run("sql", env(password), "migrate")
            assert code == 0, errors
            assert "The role a new\"role has the workers' rights." in output
            assert "ond" not in output + errors
            assert (await programs.run("sql", env(password), "audit"))[0] == 0
    finally:
        async with connect(empty_database_url, timeout_s=CONNECT_TIMEOUT_S) as owner:
            await owner.execute('DROP OWNED BY "a new""role"')
            await owner.execute('DROP ROLE "a new""role"')


async def test_the_password_of_a_role_that_migrate_has_not_made_stays(
    connection: asyncpg.Connection, database_url: str
) -> None:
    await connection.execute("CREATE ROLE of_an_operator LOGIN PASSWORD 'theirs'")
    address = database_url.partition("@")[2]
    try:
        assert await grant_rights(connection, f"postgresql://of_an_operator:other@{address}") == "of_an_operator"
        async with connect(f"postgresql://of_an_operator:theirs@{address}", timeout_s=CONNECT_TIMEOUT_S) as theirs:
            assert await theirs.fetch("SELECT * FROM events") == []
    finally:
        await connection.execute("DROP OWNED BY of_an_operator")
        await connection.execute("DROP ROLE of_an_operator")


async def test_the_owner_itself_gets_no_grants(connection: asyncpg.Connection, database_url: str) -> None:
    assert await grant_rights(connection, database_url) is None
