"""Searching reads what its window or its ids need, and no query of it walks all events."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from contract.keys import NUMBERS_OF_PARTITION
from operations.search import parse_query
from operations.search.postgres import BEGINNING, SEARCH, parameters
from sql import load

FILL = """
INSERT INTO events (
    namespace, event_id, source, provider, entry_id, type, resource, signed, received_at, committed_at
)
SELECT 'stripe', 'evt_' || n, 'stripe', 'stripe', n || '-0', 't', 'pi_' || md5(n::text), 'body', now(),
       now() - (30000 - n) * interval '1 second'
FROM generate_series(1, 30000) AS n
"""
FILL_DEAD = """
INSERT INTO dead_letters (
    entry_id, state, namespace, event_id, resource, reason, traceback, attempts, field_names, field_values, died_at
)
SELECT n || '-2', CASE WHEN n % 500 = 0 THEN 'open' ELSE 'replayed' END, 'stripe', 'evt_' || n, 'pi_' || n, '', '', 1,
       '{}', '{}', now() - (20000 - n) * interval '1 second'
FROM generate_series(1, 20000) AS n
"""
SUMMARIZE = "SELECT brin_summarize_new_values('events_by_time'), brin_summarize_new_values('events_of_payment')"


@pytest.fixture
async def filled(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Fill the tables as after some hours."""
    await connection.execute(FILL)
    await connection.execute(FILL_DEAD)
    await connection.execute(SUMMARIZE)
    await connection.execute("ANALYZE")
    # So few events are quicker read in full; a plan that still has a Seq Scan knows no other way.
    await connection.execute("SET enable_seqscan = off")
    return connection


@pytest.mark.parametrize(
    ("name", "text", "index"),
    [
        ("search_events", "source:nothing since:1m", "events_by_time"),
        ("search_events_by_id", "payment:pi_x", "events_of_payment"),
        ("search_events_by_id", "event:evt_7", "events_pkey"),
        ("search_events_by_id", "evt_7", "BitmapOr"),
        ("search_dead_letters", "status:dead since:1h", "dead_letters_"),
        ("search_dead_letters", "status:replayed since:1h", "dead_letters_by_time"),
        ("search_dead_letters", "payment:pi_7", "dead_letters_of_payment"),
        ("search_dead_letters", "event:evt_7", "dead_letters_of_event"),
        ("select_dead_letters", "status:dead", "dead_letters_"),
    ],
)
async def test_a_search_uses_its_index(filled: asyncpg.Connection, name: str, text: str, index: str) -> None:
    now = datetime.now(UTC)
    query = parse_query(text, now)
    values = parameters(query) | {
        "since": query.since or BEGINNING, "before": now + timedelta(days=1), "before_key": "", "limit": 51,
        "known": ["stripe"], "up_to": None,
    }  # fmt: skip
    wanted = SEARCH.describe(name)
    lines = await filled.fetch("EXPLAIN " + wanted.text, *[values[each] for each in wanted.parameters])
    plan = "\n".join(line[0] for line in lines)
    assert index in plan, plan
    assert "Seq Scan" not in plan


async def test_what_people_did_to_something_is_found_by_its_indexes(connection: asyncpg.Connection) -> None:
    await connection.execute("SET enable_seqscan = off")
    text = load("why").describe("read_acts")
    values = {"subjects": ["dead_letter:1", "payment:a/b"], "events": ["a/b"], "limit": 9}
    lines = await connection.fetch("EXPLAIN " + text.text, *[values[each] for each in text.parameters])
    plan = "\n".join(line[0] for line in lines)
    for index in ("operations_of_subject", "operations_of_events"):
        assert index in plan, plan


async def test_a_list_of_open_dead_letters_does_not_read_the_closed_ones(filled: asyncpg.Connection) -> None:
    text = load("dead_letters").describe("list_dead_letters_of_group")
    values = {"after": 0, "up_to": 99_999, "source": None, "reason_group": None, "limit": 50}
    lines = await filled.fetch("EXPLAIN " + text.text, *[values[each] for each in text.parameters])
    plan = "\n".join(line[0] for line in lines)
    assert "dead_letters_open_by_id" in plan, plan
    assert "Sort" not in plan, plan


async def test_only_the_last_pages_are_read_for_the_newest_entry(filled: asyncpg.Connection) -> None:
    statement, *values = load("restores").bind(
        "find_highest_entry_id", pages=16, partition=0, numbers_of_partition=NUMBERS_OF_PARTITION
    )
    plan = "\n".join(row[0] for row in await filled.fetch(f"EXPLAIN {statement}", *values))
    assert plan.count("Tid Range Scan") == 3
    assert "Seq Scan" not in plan
    assert await filled.fetchval(statement, *values) == "30000-0"
