"""Every named query is valid on the real schema, and those that run for every event use an index."""

import re

import asyncpg
import pytest

from sql import columns, files, load
from tests.support.batches import Row, claim_columns, duplicate_columns

EVENTS_FILLED = 50_000
"""Enough rows for the planner to prefer an index where it has one."""

ROWS = [Row(f"evt_{number}", f"{number}-1", f"pi_{number}") for number in range(20)]
IDS = columns(ROWS, "namespace", "event_id")

FILL = """
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
SELECT 'stripe', 'evt_' || n, 'stripe', 'stripe', n || '-0', 't', 'pi_' || n, 'body', now()
FROM generate_series(1, $1::integer) AS n
"""
FILL_DEAD = """
INSERT INTO dead_letters (
    entry_id, state, namespace, event_id, reason, traceback, attempts, field_names, field_values
)
SELECT n || '-2', CASE WHEN n % 500 = 0 THEN 'open' ELSE 'replayed' END, 'stripe', 'evt_' || n, '', '', 1, '{}', '{}'
FROM generate_series(1, $1::integer) AS n
"""


FILL_ARCHIVE = """
INSERT INTO events_archive (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
SELECT 'stripe', 'old_' || n, 'stripe', 'stripe', n || '-3', 't', 'old_' || n, 'body', now()
FROM generate_series(1, $1::integer) AS n
"""


@pytest.mark.parametrize("file", files())
async def test_postgres_prepares_every_query_on_the_real_schema(connection: asyncpg.Connection, file: str) -> None:
    for name in load(file):
        query = load(file).describe(name)
        prepared = await connection.prepare(query.text)
        columns = [attribute.name for attribute in prepared.get_attributes()]
        if query.shape != "exec":
            assert columns, f"{name} is :{query.shape} but returns nothing"
        assert "?column?" not in columns, name


@pytest.fixture
async def filled(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Fill the tables as after some days."""
    await connection.execute(FILL, EVENTS_FILLED)
    await connection.execute(FILL_DEAD, EVENTS_FILLED)
    await connection.execute(FILL_ARCHIVE, EVENTS_FILLED)
    await connection.execute("ANALYZE")
    return connection


async def plan(connection: asyncpg.Connection, file: str, name: str, **values: object) -> str:
    text, *arguments = load(file).bind(name, **values)
    lines = await connection.fetch("EXPLAIN " + text, *arguments)
    return "\n".join(line[0] for line in lines)


def empty(file: str, name: str) -> dict[str, object]:
    """Return an empty array for each parameter."""
    return {parameter: [] for parameter in load(file).describe(name).parameters}


async def test_claiming_uses_the_primary_key(filled: asyncpg.Connection) -> None:
    assert "Conflict Arbiter Indexes: events_pkey" in await plan(
        filled, "events", "claim_events", **claim_columns(ROWS)
    )


async def test_recording_duplicates_finds_their_events_by_key(filled: asyncpg.Connection) -> None:
    text = await plan(filled, "events", "record_duplicates", **duplicate_columns(ROWS))
    assert "using events_pkey" in text
    assert "Seq Scan" not in text


async def test_closing_dead_letters_reads_only_open_ones(filled: asyncpg.Connection) -> None:
    text = await plan(filled, "dead_letters", "close_replayed_dead_letters", **IDS)
    assert "dead_letters_open" in text
    assert "Seq Scan" not in text


async def test_finding_dead_lettered_entries_uses_the_unique_key(filled: asyncpg.Connection) -> None:
    text = await plan(filled, "dead_letters", "find_dead_lettered", entry_ids=[row.entry_id for row in ROWS])
    assert "dead_letters_entry_id_key" in text
    assert "Seq Scan" not in text


async def test_booking_facts_uses_the_primary_keys(filled: asyncpg.Connection) -> None:
    text = await plan(filled, "payments", "book_facts", **empty("payments", "book_facts"))
    assert "Conflict Arbiter Indexes: payments_pkey" in text
    assert "Conflict Arbiter Indexes: transfers_pkey" in text


async def test_locking_takes_the_locks_in_one_order(filled: asyncpg.Connection) -> None:
    text = await plan(filled, "events", "lock_resources", **columns(ROWS, "namespace", "resource"))
    _, aggregate, below = text.partition("Aggregate")
    assert aggregate
    assert "Sort" in below


LISTED = {"namespace": "stripe", "event_ids": [row.event_id for row in ROWS]}


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("find_applied", LISTED | {"with_bodies": True}, "events_pkey"),
        ("find_dead", LISTED, "dead_letters_of_event"),
        ("find_transfers", {"namespace": "stripe", "movement": ["capture:pi_1"]}, "transfers_pkey"),
    ],
)
async def test_listed_events_and_payments_are_found_by_their_keys(
    filled: asyncpg.Connection, name: str, values: dict[str, object], index: str
) -> None:
    await filled.execute(FILL_TRANSFERS)
    await filled.execute(FILL_TRANSFERS_ARCHIVE)
    await filled.execute("ANALYZE transfers, transfers_archive")
    text = await plan(filled, "reconcile", name, **values)
    assert index in text
    assert not re.search(r"Seq Scan on (events|transfers|dead_letters)", text)


FILL_TRANSFERS = """
INSERT INTO transfers (namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
SELECT 'stripe', 'capture:pi_' || n, 'pi_' || n, 'provider', 'merchant', 700, 'EUR', 'evt_' || n
FROM generate_series(1, 20000) AS n
"""
FILL_TRANSFERS_ARCHIVE = FILL_TRANSFERS.replace("INTO transfers", "INTO transfers_archive").replace("pi_", "old_")


async def test_finding_conflicts_reads_no_table_even_if_it_was_small_before(connection: asyncpg.Connection) -> None:
    text = load("conflicts").describe("find_differing_transfers")
    values = {"namespace": ["stripe"], "transfer_key": ["capture:pi_7"], "amount": [700], "currency": ["EUR"],
              "payment_id": ["pi_7"]}  # fmt: skip
    arguments = [values[each] for each in text.parameters]
    prepared = await connection.prepare(text.text)
    for _ in range(12):  # beyond the five plans that are made for one execution each
        assert len(await prepared.fetch(*arguments)) == 1
    await connection.execute(FILL_TRANSFERS)
    await connection.execute(FILL_TRANSFERS_ARCHIVE)
    async with connection.transaction():
        before = await connection.fetchval(READ)
        assert await prepared.fetch(*arguments) == []
        assert await connection.fetchval(READ) == before


READ = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE 'transfers%'"


@pytest.mark.parametrize(
    ("file", "name"),
    [("payments", "recompute_payments"), ("payments", "find_captures_to_undo"), ("disputes", "recompute_disputes")],
)
async def test_what_is_read_again_of_a_payment_is_found_by_its_index(
    filled: asyncpg.Connection, file: str, name: str
) -> None:
    await filled.execute(FILL_TRANSFERS)
    await filled.execute(FILL_TRANSFERS_ARCHIVE)
    await filled.execute("ANALYZE transfers")
    text = await plan(filled, file, name, namespace=["stripe"], payment_id=["pi_7"])
    assert "transfers_of_payment" in text
    assert "Seq Scan on transfers" not in text
    assert "Seq Scan on events" not in text


FILL_PAYLOADS = """
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
SELECT namespace, event_id, received_at, '{}', '' FROM events
"""


@pytest.mark.parametrize(
    ("file", "name"), [("events", "find_applied_events"), ("why", "read_events"), ("event_content", "read_payload")]
)
async def test_signed_bytes_are_found_by_the_time_in_their_events_row(
    filled: asyncpg.Connection, file: str, name: str
) -> None:
    await filled.execute(FILL_PAYLOADS)
    await filled.execute("ANALYZE payloads")
    ids = {"namespace": "stripe", "event_id": "evt_7"}
    text = await plan(filled, file, name, **(ids if name == "read_payload" else columns(ROWS[:1], *ids)))
    assert re.search(r"Index Scan using payloads_\d+_\d+_pkey", text)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("events", "record_duplicates"),
        ("payments", "book_facts"),
        ("payments", "find_booked"),
        ("payments", "find_known_states"),
        ("payments", "find_captures_to_undo"),
        ("payments", "recompute_payments"),
        ("disputes", "recompute_disputes"),
        ("disputes", "recompute_disputed"),
        ("conflicts", "find_currency_conflicts"),
    ],
)
async def test_a_worker_reads_no_table_that_is_small_yet(connection: asyncpg.Connection, file: str, name: str) -> None:
    async with connection.transaction():
        await connection.execute(*load("events").bind("lock_resources", namespace=["stripe"], resource=["pi_1"]))
        text = await plan(connection, file, name, **empty(file, name))
    for table in ("events", "payments", "transfers"):
        assert f"Seq Scan on {table}" not in text, text
