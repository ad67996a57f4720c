"""The audit finds rows that must not exist and entries that are not accounted for."""

import asyncpg
import pytest

from consumers import store
from consumers.entry import Entry
from consumers.handlers import Handlers
from consumers.settings import Settings
from contract.keys import GROUP
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG
from tests.support.database import as_worker
from tests.support.events import contract_event
from tests.support.stream_states import Stream, say, settings_for

NOWHERE = "127.0.0.1:1"


async def commit(connection: asyncpg.Connection, entries: list[Entry]) -> None:
    claimed = await store.claim(connection, entries, Handlers().is_of_other_mode)
    await store.keep_payloads(connection, claimed)
    await store.record_duplicates(connection, [entry for entry in entries if entry not in claimed])


async def read(stream: Stream, consumer: str = "worker-1", count: int = 10) -> list[Entry]:
    return [entry for entry in await stream.read(consumer, count) if isinstance(entry, Entry)]


async def test_the_audit_of_a_sound_system(settings: Settings, stream: Stream, connection: asyncpg.Connection) -> None:
    assert "There is no stream" in (await say(settings, "audit")).text
    for name in ("evt_a", "evt_a", "evt_b", "evt_c", "evt_d", "evt_e"):
        await stream.publish(contract_event(name))
    entries = await read(stream, count=5)
    await commit(connection, entries[:1])
    await commit(connection, entries[1:3])
    for entry in entries[:2]:
        await stream.drop(entry.entry_id)
    await stream.dead_letter(connection, entries[3])
    said = await say(settings, "audit")
    assert "6 entries were added to this stream, which = 4 recorded in Postgres + 2 waiting." in said.text
    assert said.code == 0
    document = (await say(settings, "audit", "--json")).json
    assert document["ok"] is True
    assert document["account"] == {"added": 6, "recorded": 4, "waiting": 2, "acknowledged": 0}


async def broken(settings: Settings) -> dict[str, int]:
    said = await say(settings, "audit", "--json")
    assert said.code == EXIT_WRONG
    return {finding["name"]: finding["total"] for finding in said.json["broken"]}


async def test_the_audit_finds_an_entry_that_vanished(settings: Settings, stream: Stream) -> None:
    for name in ("evt_a", "evt_b"):
        await stream.publish(contract_event(name))
    await stream.read("worker-1", 1)
    await stream.redis.xdel(stream.keys.events, *stream.ids)
    assert await broken(settings) == {"pending_but_gone": 1, "entries_do_not_add_up": 2, "lost_event": 2}
    assert "is not" in (await say(settings, "audit")).text


async def test_the_audit_finds_an_entry_that_was_acked_and_not_applied(settings: Settings, stream: Stream) -> None:
    await stream.publish(contract_event())
    await stream.read("worker-1")
    await stream.redis.xack(stream.keys.events, GROUP, stream.ids[0])
    assert await broken(settings) == {"delivered_but_not_pending": 1}


async def test_an_open_conflict_is_named_and_wakes_nobody_twice(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO conflicts (namespace, payment_id, movement, told_amount, told_currency, reported_amount, "
        "reported_currency, event_id) VALUES ('acme', 'pi_1', 'capture:pi_1', 1, 'EUR', 1, 'EUR', 'evt_1')"
    )
    assert "conflict_without_decision" in await broken(settings)
    kept = await connection.fetchrow("SELECT findings, rules FROM audits WHERE key_prefix = $1", stream.keys.prefix)
    names = set(await broken(settings)) - {"conflict_without_decision"}
    assert kept["findings"] == len(names)


async def test_the_audit_finds_a_lost_group(settings: Settings, stream: Stream, connection: asyncpg.Connection) -> None:
    await stream.publish(contract_event())
    assert (await say(settings, "audit")).code == 0
    await commit(connection, await read(stream))
    await stream.redis.xgroup_destroy(stream.keys.events, GROUP)
    assert await broken(settings) == {"group_missing": 1}


async def test_the_audit_finds_a_missing_epoch(settings: Settings, stream: Stream) -> None:
    await stream.publish(contract_event())
    await stream.redis.delete(stream.keys.epoch)
    assert await broken(settings) == {"epoch_missing": 1}


async def test_the_audit_finds_an_entry_recorded_twice(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    entries = await read(stream)
    await commit(connection, entries)
    await connection.execute(
        "INSERT INTO dead_letters (entry_id, reason, traceback, attempts, field_names, field_values)"
        " VALUES ($1, 'no', '', 1, '{}', '{}')",
        entries[0].entry_id,
    )
    assert (await broken(settings)).keys() >= {"entries_do_not_add_up", "entry_with_two_fates"}


async def test_entries_of_an_earlier_stream_are_not_counted(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    await commit(connection, await read(stream))
    await stream.redis.delete(stream.keys.events, stream.keys.epoch)
    await stream.publish(contract_event("evt_b"))
    assert (await say(settings, "audit", "--json")).json["account"] == {
        "added": 1,
        "recorded": 0,
        "waiting": 1,
        "acknowledged": 0,
    }


async def test_the_audit_checks_postgres_even_without_redis(
    settings: Settings, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without_redis = settings_for(f"redis://{NOWHERE}", as_worker(database_url), settings.key_prefix)
    said = await say(without_redis, "audit")
    assert said.code == EXIT_UNREACHABLE
    assert "invariants hold" in said.text
    assert "The stream was not accounted for." in capsys.readouterr().err
