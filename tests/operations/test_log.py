"""The operators' log: who did what and why, with the act or not at all, in a chain that shows what was done to it."""

import asyncio

import asyncpg
import pytest

from operations.log import REASON_CHARS_MAX, Act, ActError, LogEnd, list_operations, read_log_end, record
from sql.audit import audit
from sql.connect import connect
from tests.support.database import CONNECT_TIMEOUT_S, as_worker

ACT = Act("ada", "the handler is fixed", "console")
HASHED_AGAIN = """
UPDATE operations
SET actor = 'bob',
    hash = operation_hash(id, acted_at, 'bob', face, action, subject, reason, touched, details, previous_hash)
WHERE id = 2
"""
WITHOUT_HASH = """
ALTER TABLE operations ALTER hash DROP NOT NULL;
UPDATE operations SET actor = 'bob', hash = NULL WHERE id = 2
"""


async def record_some(connection: asyncpg.Connection, first: int = 1, last: int = 3) -> None:
    for number in range(first, last + 1):
        await record(
            connection,
            ACT,
            action="discard",
            subject=f"dead_letter:{number}",
            touched=1,
            details={"event": "a/é\u202e"},
        )


async def test_a_row_keeps_who_why_and_what(connection: asyncpg.Connection) -> None:
    assert await read_log_end(connection) == LogEnd(0, "")
    await record_some(connection)
    newest, *older = await list_operations(connection, before=None, limit=2)
    assert (newest.id, newest.actor, newest.reason, newest.face) == (3, "ada", "the handler is fixed", "console")
    assert (newest.action, newest.subject, newest.touched) == ("discard", "dead_letter:3", 1)
    assert newest.details == {"event": "a/é\u202e"}
    assert [each.id for each in older] == [2]
    assert newest.previous_hash == older[0].hash
    assert [each.id for each in await list_operations(connection, before=2, limit=9)] == [1]
    assert await read_log_end(connection) == LogEnd(3, newest.hash)


async def test_an_act_that_is_rolled_back_leaves_no_row_and_no_gap(connection: asyncpg.Connection) -> None:
    await record_some(connection, 1, 1)
    transaction = connection.transaction()
    await transaction.start()
    await record_some(connection, 2, 3)
    await transaction.rollback()
    await record_some(connection, 4, 4)
    assert [each.id for each in await list_operations(connection, before=None, limit=9)] == [2, 1]
    assert await audit(connection) == []


async def test_acts_at_the_same_time_form_one_chain(database_url: str, connection: asyncpg.Connection) -> None:
    async def act(number: int) -> None:
        async with (
            connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as own,
            own.transaction(isolation="read_committed"),
        ):
            await own.fetch("SELECT count(*) FROM operations")  # a snapshot of before the others' commits
            await record_some(own, number, number)

    await asyncio.gather(*map(act, range(8)))
    found = await list_operations(connection, before=None, limit=9)
    assert [each.id for each in found] == list(range(8, 0, -1))
    assert sorted(each.acted_at for each in found) == [each.acted_at for each in found][::-1]
    assert await audit(connection) == []


@pytest.mark.parametrize(
    ("change", "rows", "wrong"),
    [
        ("UPDATE operations SET actor = 'bob' WHERE id = 2", [2], "its content was changed"),
        ('UPDATE operations SET details = \'{"event": "b"}\' WHERE id = 3', [3], "its content was changed"),
        ("UPDATE operations SET acted_at = acted_at + interval '1 microsecond' WHERE id = 1", [1], "its content was"),
        ("DELETE FROM operations WHERE id = 2", [3], "the row before it is missing"),
        ("DELETE FROM operations WHERE id = 1", [2], "the row before it is missing"),
        (HASHED_AGAIN, [3], "it does not follow the row before it"),
        (WITHOUT_HASH, [2, 3], "its content was changed"),
        ("UPDATE operations SET acted_at = 'infinity' WHERE id = 2", [2], "its content was changed"),
    ],
)
async def test_what_is_changed_by_hand_is_named(
    connection: asyncpg.Connection, change: str, rows: list[int], wrong: str
) -> None:
    await record_some(connection)
    await connection.execute("ALTER TABLE operations DISABLE TRIGGER ALL")
    await connection.execute(change)
    (finding,) = await audit(connection)
    assert finding.name == "operation_out_of_chain"
    assert [row["id"] for row in finding.rows] == rows
    assert wrong in finding.rows[0]["wrong"]


@pytest.mark.parametrize("change", ["UPDATE operations SET actor = 'bob'", "DELETE FROM operations",
                                    "TRUNCATE operations"])  # fmt: skip
async def test_not_even_the_owner_changes_the_log_in_passing(connection: asyncpg.Connection, change: str) -> None:
    await record_some(connection)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await connection.execute(change)


async def test_nobody_chooses_number_time_or_hash(database_url: str, connection: asyncpg.Connection) -> None:
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        await worker.execute("CREATE TEMP TABLE operations AS SELECT 41::bigint AS id, 'x' AS hash")
        await worker.execute(
            "INSERT INTO public.operations VALUES (7, '1999-01-01', 'a', 'command', 'b', 'c', '', 1, '{}', 'x', 'y')"
        )
    (row,) = await list_operations(connection, before=None, limit=9)
    assert (row.id, row.previous_hash, len(row.hash), row.acted_at.year > 1999) == (1, "", 64, True)
    assert await audit(connection) == []


@pytest.mark.parametrize(
    ("actor", "reason"),
    [("", "why"), ("  ", "why"), ("a" * 201, "why"), ("ada", "r" * (REASON_CHARS_MAX + 1)), ("ada", "two\nlines"),
     ("ada\x00", "why"), ("ada", "\ud800")],
)  # fmt: skip
def test_who_and_why_are_texts_that_can_be_kept(actor: str, reason: str) -> None:
    with pytest.raises(ActError, match=r"^[A-Z].*[a-z0-9]$|UTF-8$"):
        Act(actor, reason, "console")
