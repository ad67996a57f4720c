"""The worker's statements where the order of two transactions matters, and its connections' limits."""

import asyncpg
import pytest

from consumers import store
from consumers.entry import Entry, Unreadable
from consumers.handlers import Handlers
from consumers.settings import Settings
from contract.event import EnvelopeError, Event, to_entry
from sql.partitions import MONTHS_AHEAD, ensure_payload_partitions
from tests.support.events import contract_event
from tests.support.wait import until

STATE = "SELECT event_id, state, reason, traceback, attempts FROM dead_letters"


def entry_of(event: Event, entry_id: str = "1-1", attempt: int = 1) -> Entry:
    flat = to_entry(event)
    fields = {
        str(n).encode(): v.encode() if isinstance(v, str) else v for n, v in zip(flat[::2], flat[1::2], strict=True)
    }
    return Entry(entry_id, attempt, event, fields)


async def apply(connection: asyncpg.Connection, *entries: Entry) -> list[Entry]:
    async with connection.transaction():
        await store.exclude_others(connection, entries)
        claimed = await store.claim(connection, entries, Handlers().is_of_other_mode)
        await store.keep_payloads(connection, claimed)
        await store.record_duplicates(connection, [entry for entry in entries if entry not in claimed])
    return claimed


async def test_one_of_two_entries_of_an_event_is_claimed(connection: asyncpg.Connection) -> None:
    first, second = entry_of(contract_event(), "1-1"), entry_of(contract_event(), "1-2")
    claimed = await apply(connection, first, second)
    assert len(claimed) == 1
    assert await apply(connection, first, second) == []
    assert await connection.fetchval("SELECT count(*) FROM duplicates") == 1
    assert await connection.fetchval("SELECT count(*) FROM payloads") == 1


async def test_an_entry_in_the_dead_letters_is_neither_claimed_nor_a_duplicate(connection: asyncpg.Connection) -> None:
    dead = entry_of(contract_event())
    assert await store.dead_letter(connection, dead, "no", "")
    assert await apply(connection, dead) == []
    redelivered = entry_of(contract_event(), "2-1")
    assert await apply(connection, redelivered) == [redelivered]
    assert await apply(connection, dead) == []
    assert await connection.fetchval("SELECT count(*) FROM duplicates") == 0
    assert (await connection.fetchrow(STATE))["state"] == "replayed"
    assert await store.find_dead_lettered(connection, [dead, redelivered]) == {dead.entry_id}


async def test_an_entry_whose_event_is_applied_is_not_dead_lettered(connection: asyncpg.Connection) -> None:
    await apply(connection, entry_of(contract_event()))
    assert not await store.dead_letter(connection, entry_of(contract_event()), "no", "")
    assert not await store.dead_letter(connection, entry_of(contract_event(), "9-9"), "no", "")
    assert await connection.fetch(STATE) == []


async def test_a_dead_letter_is_written_once(connection: asyncpg.Connection) -> None:
    dead = entry_of(contract_event(), attempt=4)
    for reason in ("the first", "the second"):
        assert await store.dead_letter(connection, dead, reason, f"traceback of {reason}")
    (row,) = await connection.fetch(STATE)
    assert tuple(row) == ("evt_1", "open", "the first", "traceback of the first", 4)


async def test_an_undecodable_entry_is_dead_lettered_with_its_bytes(connection: asyncpg.Connection) -> None:
    fields = {b"\xff": b"\x00", b"v": b"7"}
    assert await store.dead_letter(connection, Unreadable("1-1", 1, EnvelopeError("no"), fields), "no", "")
    row = await connection.fetchrow("SELECT namespace, event_id, field_names, field_values FROM dead_letters")
    assert tuple(row) == (None, None, [b"\xff", b"v"], [b"\x00", b"7"])


@pytest.mark.parametrize("text", ["\0", "\ud800\udcff", "x" * 1_000_000])
async def test_any_text_can_be_a_reason(connection: asyncpg.Connection, text: str) -> None:
    assert await store.dead_letter(connection, entry_of(contract_event()), text, text)
    (row,) = await connection.fetch(STATE)
    assert 0 < len(row["reason"]) <= store.DEAD_LETTER_REASON_CHARS_MAX
    assert 0 < len(row["traceback"]) <= store.TRACEBACK_CHARS_MAX


async def test_two_transactions_wait_for_each_other_on_one_resource_only(settings: Settings) -> None:
    hasty = settings.model_copy(update={"row_lock_timeout_s": 0.1})
    async with (
        await store.open_pool(hasty, "worker-1") as pool,
        pool.acquire() as first,
        pool.acquire() as second,
        first.transaction(),
    ):
        await store.exclude_others(first, [entry_of(contract_event("a", "pi_1"))])
        async with second.transaction():
            await store.exclude_others(second, [entry_of(contract_event("b", "pi_2"))])
        with pytest.raises(asyncpg.LockNotAvailableError):
            await store.exclude_others(second, [entry_of(contract_event("b", "pi_1"))])


async def test_a_connection_has_a_limit_for_everything(settings: Settings) -> None:
    limits = {"statement_timeout_s": 1.5, "row_lock_timeout_s": 0.25, "transaction_idle_s": 2}
    async with await store.open_pool(settings.model_copy(update=limits), "worker-7") as pool, pool.acquire() as one:
        shown = {
            name: await one.fetchval(f"SHOW {name}")
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name",
                         "TimeZone", "synchronous_commit")
        }  # fmt: skip
    assert shown == {
        "statement_timeout": "1500ms",
        "lock_timeout": "250ms",
        "idle_in_transaction_session_timeout": "2s",
        "application_name": "payments worker-7",
        "TimeZone": "UTC",
        "synchronous_commit": "on",
    }


async def test_partitions_are_made_ahead_and_only_once(connection: asyncpg.Connection) -> None:
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'payloads'::regclass"
    await ensure_payload_partitions(connection)
    before = await connection.fetchval(count)
    await ensure_payload_partitions(connection)
    assert await connection.fetchval(count) == before >= MONTHS_AHEAD + 1
    await until(
        lambda: connection.fetchval("SELECT to_regclass('payloads_default') IS NOT NULL"), what="the last resort"
    )
