"""Old events move into an archive and are never applied again, whatever happens at the same time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from sql.archive import Archived, archive, archive_since
from sql.audit import audit
from sql.connect import connect
from sql.sparse_indexes import rebuild_sparse_indexes
from tests.support.batches import Row, claim, keep_payloads, lock, record_duplicates
from tests.support.database import CONNECT_TIMEOUT_S, as_worker
from tests.support.wait import until

NO_WAIT = timedelta()
HOT = "SELECT event_id FROM ONLY events ORDER BY event_id"
ARCHIVED = "SELECT event_id FROM events_archive ORDER BY event_id"
MOVE = "SELECT archive_events(now() + interval '1 day', 0, 1000, interval '0')"
LOOKUPS = (
    "SELECT sum(idx_scan)::bigint FROM pg_stat_xact_user_tables WHERE relname IN ('events_archive', 'payments_archive')"
)
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def another(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A second connection, with the rights of a worker."""
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as connected:
        yield connected


async def ids(connection: asyncpg.Connection, query: str) -> list[str]:
    return [row[0] for row in await connection.fetch(query)]


async def applied(connection: asyncpg.Connection, *rows: Row) -> None:
    async with connection.transaction():
        assert await claim(connection, rows) == {row.entry_id for row in rows}
        await keep_payloads(connection, rows)


async def move_all(connection: asyncpg.Connection) -> Archived:
    done = Archived()
    await archive_since(connection, datetime.now(UTC) + timedelta(days=1), done, rolling_upgrade=NO_WAIT)
    return done


async def test_an_archived_event_is_still_an_event_and_is_applied_once(
    connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    await applied(another, Row("evt_1", "1-0"), Row("evt_2", "2-0"))
    before = await connection.fetch("SELECT * FROM events ORDER BY event_id")
    assert (await move_all(another)).events == 2
    assert await ids(connection, HOT) == []
    assert await connection.fetch("SELECT * FROM events ORDER BY event_id") == before
    again = [Row("evt_2", "3-0"), Row("evt_3", "4-0")]
    async with another.transaction():
        assert await claim(another, again) == {"4-0"}
        await keep_payloads(another, again[1:])
        await record_duplicates(another, again[:1])
    assert await ids(connection, HOT) == ["evt_3"]
    assert await ids(connection, "SELECT entry_id FROM duplicates") == ["3-0"]
    assert await audit(connection) == []


async def test_only_old_events_move(connection: asyncpg.Connection, another: asyncpg.Connection) -> None:
    await applied(another, Row("evt_1", "1-0"), Row("evt_2", "2-0"))
    old = "UPDATE ONLY events SET committed_at = now() - interval '100 days' WHERE event_id = 'evt_1'"
    await connection.execute(old)
    done = await archive(another, 30, rolling_upgrade=NO_WAIT)
    assert done.events == 1
    assert done.quiet_since is not None
    assert (done.quiet_since.day, done.quiet_since.hour) == (1, 0)
    assert await ids(connection, ARCHIVED) == ["evt_1"]
    assert (await archive(another, 30, rolling_upgrade=NO_WAIT)).events == 0


async def test_nothing_moves_while_workers_of_before_may_run(
    connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    await applied(another, Row("evt_1", "1-0"))
    done = await archive(another, 0)
    assert done == Archived(done.quiet_since, is_usable=False)
    with pytest.raises(asyncpg.RaiseError, match="release before"):
        await another.execute("SELECT archive_events(now() + interval '1 day', 0, 9, interval '1 day')")
    await connection.execute("UPDATE archives SET made_at = now() - interval '25 hours'")
    assert (await archive(another, -40)).events == 1


@pytest.mark.parametrize("is_moved", [True, False], ids=["moved", "rolled back"])
async def test_a_copy_that_comes_while_its_event_moves_waits_and_is_a_duplicate(
    connection: asyncpg.Connection, another: asyncpg.Connection, is_moved: bool
) -> None:
    await applied(another, Row("evt_1", "1-0"))
    transaction = connection.transaction()
    await transaction.start()
    assert await connection.fetchval(MOVE) == 1

    async def claim_again() -> set[str]:
        async with another.transaction():
            claimed = await claim(another, [Row("evt_1", "2-0"), Row("evt_2", "3-0")])
            await record_duplicates(another, [Row("evt_1", "2-0")])
            return claimed

    claiming = asyncio.create_task(claim_again())
    await until(lambda: connection.fetchval(WAITS), what="the claim waits for the move")
    await (transaction.commit() if is_moved else transaction.rollback())
    assert await claiming == {"3-0"}
    assert await ids(connection, "SELECT entry_id FROM duplicates") == ["2-0"]
    assert await ids(connection, "SELECT event_id FROM events ORDER BY event_id") == ["evt_1", "evt_2"]
    assert await connection.fetch("SELECT FROM ONLY events JOIN events_archive USING (namespace, event_id)") == []


async def test_an_event_that_is_being_applied_does_not_move(
    connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    async with another.transaction():
        assert await claim(another, [Row("evt_1", "1-0")]) == {"1-0"}
        assert await connection.fetchval(MOVE) == 0
    assert await ids(connection, HOT) == ["evt_1"]


async def test_two_workers_that_get_an_archived_event_at_once_both_have_a_duplicate(
    connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    await applied(another, Row("evt_1", "1-0"))
    await move_all(another)

    async def claim_in(one: asyncpg.Connection, entry_id: str) -> set[str]:
        async with one.transaction():
            claimed = await claim(one, [Row("evt_1", entry_id)])
            await record_duplicates(one, [Row("evt_1", entry_id)])
            return claimed

    claimed = await asyncio.gather(claim_in(connection, "2-0"), claim_in(another, "3-0"))
    assert set().union(*claimed) == set()
    assert await ids(connection, "SELECT entry_id FROM duplicates ORDER BY 1") == ["2-0", "3-0"]
    assert await audit(connection) == []


async def test_a_claim_that_is_rolled_back_forgets_nothing(connection: asyncpg.Connection) -> None:
    await applied(connection, Row("evt_1", "1-0"))
    await move_all(connection)
    transaction = connection.transaction()
    await transaction.start()
    assert await claim(connection, [Row("evt_1", "2-0"), Row("evt_2", "3-0")]) == {"3-0"}
    await transaction.rollback()
    assert await ids(connection, "SELECT event_id FROM events") == ["evt_1"]
    assert await claim(connection, [Row("evt_2", "4-0")]) == {"4-0"}


async def test_columns_that_a_later_release_adds_move_too(connection: asyncpg.Connection) -> None:
    await connection.execute("ALTER TABLE events ADD COLUMN color text")
    await applied(connection, Row("evt_1", "1-0"))
    await connection.execute("UPDATE events SET color = 'blue'")
    await move_all(connection)
    assert await ids(connection, "SELECT color FROM events_archive") == ["blue"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events_archive",
        "INSERT INTO events_archive SELECT * FROM events",
        "TRUNCATE events_archive",
        "UPDATE events_archive SET type = 'x'",
        "UPDATE archives SET made_at = now()",
    ],
)
async def test_workers_change_nothing_in_the_archive(another: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await another.execute(statement)


async def test_nobody_empties_the_archive(connection: asyncpg.Connection) -> None:
    for table in ("events", "ONLY events", "events_archive"):
        with pytest.raises(asyncpg.RaiseError, match="is kept"):
            await connection.execute(f"TRUNCATE {table}")


FILL = """
INSERT INTO events_archive (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
SELECT 'stripe', 'old_' || n, 'stripe', 'stripe', n || '-0', 't', 'pi_' || n, 'body', now()
FROM generate_series(1, 20000) AS n
"""
READ = "SELECT seq_tup_read, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'events_archive'"


async def test_the_archive_is_asked_by_its_key_only(connection: asyncpg.Connection) -> None:
    await connection.execute(FILL)
    async with connection.transaction():
        before, _ = await connection.fetchrow(READ)
        for number in range(12):  # beyond the five plans that are made for each execution
            rows = [Row(f"evt_{number}_{n}", f"{number}{n}-1") for n in range(20)]
            assert len(await claim(connection, rows)) == 20
        after, lookups = await connection.fetchrow(READ)
    assert after == before
    assert lookups >= 240


FILL_HOT = FILL.replace("events_archive", "events")
SIZE = "SELECT pg_relation_size('events_pkey')"


async def test_an_index_that_the_move_left_sparse_is_rebuilt(connection: asyncpg.Connection) -> None:
    assert await rebuild_sparse_indexes(connection) == []
    await connection.execute(FILL_HOT)
    await connection.execute("DELETE FROM events WHERE right(event_id, 1) <> '7'")  # some of each page stay
    await connection.execute("VACUUM ANALYZE events")
    before = await connection.fetchval(SIZE)
    assert await rebuild_sparse_indexes(connection) == [], "a small one stays as it is"
    assert await rebuild_sparse_indexes(connection, bytes_min=8192 * 2) == ["events_pkey"]
    assert await connection.fetchval(SIZE) < before / 5
    assert await rebuild_sparse_indexes(connection, bytes_min=8192 * 2) == []


async def test_a_worker_asks_the_archive_only_for_keys_whose_fingerprints_are_there(
    connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    await applied(another, *(Row(f"evt_{n}", f"{n}-1") for n in range(400)))
    await move_all(another)
    await connection.execute("VACUUM ANALYZE")
    new = [Row(f"evt_{n}", f"{n}-2", f"pi_{n}") for n in range(1000, 1500)]
    async with another.transaction():
        before = await another.fetchval(LOOKUPS)
        await lock(another, new)
        assert len(await claim(another, new)) == len(new)
        assert await another.fetchval(LOOKUPS) - before < 10, "two bytes of a digest may be the same by chance"
        again = [Row(f"evt_{n}", f"{n}-3") for n in range(400)]
        assert await claim(another, again) == set()
        assert await another.fetchval(LOOKUPS) - before >= len(again)


async def test_every_row_that_comes_to_an_archive_leaves_its_fingerprint(connection: asyncpg.Connection) -> None:
    for _ in range(2):  # into new buckets, and into those that are there
        await connection.execute(FILL_HOT)
        await connection.execute("UPDATE ONLY events SET event_id = event_id || random()")
        await connection.execute(
            "WITH old AS (DELETE FROM ONLY events RETURNING *) INSERT INTO events_archive TABLE old"
        )
    found = await connection.fetch(
        "SELECT * FROM find_fingerprints('events', ARRAY(SELECT namespace FROM events ORDER BY event_id), "
        "ARRAY(SELECT event_id FROM events ORDER BY event_id))"
    )
    assert {row["key"] for row in found} == set(await ids(connection, ARCHIVED))
    assert len(found) == await connection.fetchval("SELECT count(*) FROM events_archive")
    others = "SELECT count(*) FROM find_fingerprints('payments', ARRAY['stripe'], ARRAY['evt_none'])"
    assert await connection.fetchval(others) == 0


@pytest.mark.parametrize("is_moved", [True, False], ids=["moved", "rolled back"])
async def test_fingerprints_are_seen_with_the_rows_or_not_at_all(
    connection: asyncpg.Connection, another: asyncpg.Connection, is_moved: bool
) -> None:
    await applied(another, Row("evt_1", "1-0"))
    transaction = connection.transaction()
    await transaction.start()
    assert await connection.fetchval(MOVE) == 1
    assert await another.fetchval("SELECT count(*) FROM archive_fingerprints") == 0
    await (transaction.commit() if is_moved else transaction.rollback())
    assert await another.fetchval("SELECT count(*) FROM archive_fingerprints") == is_moved
