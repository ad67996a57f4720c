"""Dead letters are replayed into the stream exactly once, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis

from consumers import store
from consumers.entry import Entry
from contract.event import from_fields
from contract.keys import COMMITTED, Keys
from operations.dead_letters import (
    DEAD_LETTERS_AT_ONCE,
    DeadLetterOutcome,
    DeadLetterResult,
    discard,
    find_dead_letters,
    iterate_open,
    replay,
)
from operations.log import Act
from runtime.redis_connection import client
from tests.support.events import contract_event
from tests.support.servers import ValkeyServer
from tests.support.stream_states import SEEN_TTL_S, Stream

ACT = Act("ada", "the handler is fixed", "command")
EVENT = contract_event("evt_dead", "pi_dead")


def client_of(server: ValkeyServer) -> Redis:
    """Return a client as every program has it: its connection knows who is master."""
    return client(SecretStr(server.url), timeout_s=5, name="a-test")


@pytest_asyncio.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    async with client_of(valkey) as redis:
        yield redis


async def dead_letter_one(stream: Stream, connection: asyncpg.Connection) -> int:
    await stream.publish(EVENT)
    return await stream.dead_letter(connection, (await stream.read("worker-1"))[0])


async def replay_one(stream: Stream, connection: asyncpg.Connection, wanted: str) -> DeadLetterResult:
    (dead_letter,) = await find_dead_letters(connection, wanted)
    return await replay(stream.redis, stream.keys, connection, dead_letter, seen_ttl_s=SEEN_TTL_S, act=ACT)


async def state_of(connection: asyncpg.Connection, number: int) -> Any:
    return await connection.fetchval("SELECT state FROM dead_letters WHERE id = $1", number)


async def test_an_entry_is_added_byte_for_byte_with_its_marker(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    result = await replay_one(stream, connection, str(number))
    assert result.outcome is DeadLetterOutcome.ADDED
    assert result.entry_id
    ((entry_id, fields),) = (await stream.entries()).items()
    assert entry_id == result.entry_id
    assert from_fields(fields) == EVENT
    marker = stream.keys.seen(EVENT.namespace, EVENT.event_id)
    assert await stream.redis.get(marker) == entry_id.encode()
    assert 0 < await stream.redis.ttl(marker) <= SEEN_TTL_S
    assert await state_of(connection, number) == "replayed"


async def test_a_stream_that_was_lost_begins_a_new_epoch(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    await stream.redis.delete(stream.keys.events, stream.keys.epoch)
    result = await replay_one(stream, connection, str(number))
    assert await stream.redis.get(stream.keys.epoch) == str(result.entry_id).encode()


async def test_an_epoch_that_exists_stays(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    await replay_one(stream, connection, str(number))
    assert await stream.redis.get(stream.keys.epoch) == stream.ids[0].encode()


async def test_an_event_that_is_in_the_stream_again_is_not_added(
    stream: Stream, connection: asyncpg.Connection
) -> None:
    number = await dead_letter_one(stream, connection)
    delivered_again = await stream.publish(EVENT)
    result = await replay_one(stream, connection, str(number))
    assert (result.outcome, result.entry_id) == (DeadLetterOutcome.WAITING, delivered_again)
    assert await stream.redis.xlen(stream.keys.events) == 1
    assert await state_of(connection, number) == "replayed"


async def test_an_event_that_was_committed_is_not_added(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    await stream.redis.set(stream.keys.seen(EVENT.namespace, EVENT.event_id), COMMITTED)
    assert (await replay_one(stream, connection, str(number))).outcome is DeadLetterOutcome.COMMITTED
    assert await stream.redis.xlen(stream.keys.events) == 0
    assert await state_of(connection, number) == "replayed"


async def test_a_dead_letter_whose_worker_died_before_the_ack_stays_open(
    stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(EVENT)
    (entry,) = await stream.read("worker-1")
    await store.dead_letter(connection, entry, "Reject: no", "Traceback")
    result = await replay_one(stream, connection, entry.entry_id)
    assert result.outcome is DeadLetterOutcome.NOT_ACKED_YET
    assert await state_of(connection, (await find_dead_letters(connection, entry.entry_id))[0].id) == "open"


async def test_a_marker_whose_entry_vanished_does_not_stop_a_replay(
    stream: Stream, connection: asyncpg.Connection
) -> None:
    number = await dead_letter_one(stream, connection)
    await stream.redis.set(stream.keys.seen(EVENT.namespace, EVENT.event_id), "5-5")
    assert (await replay_one(stream, connection, str(number))).outcome is DeadLetterOutcome.ADDED


async def test_an_entry_that_is_not_an_envelope_is_added_without_a_marker(
    stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish_fields(["v", "9", "body", b"\xff\x00"])
    number = await stream.dead_letter(connection, (await stream.read("worker-1"))[0])
    assert (await replay_one(stream, connection, str(number))).outcome is DeadLetterOutcome.ADDED
    (fields,) = (await stream.entries()).values()
    assert fields == {b"v": b"9", b"body": b"\xff\x00"}
    assert [key async for key in stream.redis.scan_iter(f"{stream.keys.seen('', '')[:-2]}*")] == []


async def test_two_operators_add_an_entry_once(
    stream: Stream, connection: asyncpg.Connection, database_url: str
) -> None:
    await stream.publish_fields(["v", "9"])
    number = await stream.dead_letter(connection, (await stream.read("worker-1"))[0])
    other = await asyncpg.connect(database_url)
    try:
        (dead_letter,) = await find_dead_letters(connection, str(number))
        results = await asyncio.gather(
            *(
                replay(stream.redis, stream.keys, c, dead_letter, seen_ttl_s=SEEN_TTL_S, act=ACT)
                for c in (connection, other)
            )
        )
    finally:
        await other.close()
    assert sorted(result.outcome for result in results) == [DeadLetterOutcome.ADDED, DeadLetterOutcome.CLOSED_BEFORE]
    assert await stream.redis.xlen(stream.keys.events) == 1


async def test_a_crash_after_the_replay_adds_nothing_twice(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    await replay_one(stream, connection, str(number))
    await connection.execute("UPDATE dead_letters SET state = 'open' WHERE id = $1", number)
    assert (await replay_one(stream, connection, str(number))).outcome is DeadLetterOutcome.WAITING
    assert await stream.redis.xlen(stream.keys.events) == 1


async def test_a_dead_letter_is_found_by_number_entry_and_event(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    for wanted in (str(number), stream.ids[0], EVENT.event_id):
        assert [each.id for each in await find_dead_letters(connection, wanted)] == [number]
    assert await find_dead_letters(connection, "evt_unknown") == []


async def test_a_number_means_the_dead_letter_even_if_an_event_has_that_id(
    stream: Stream, connection: asyncpg.Connection
) -> None:
    number = await dead_letter_one(stream, connection)
    await stream.publish(contract_event(str(number)))
    await stream.dead_letter(connection, (await stream.read("worker-1"))[0])
    assert [each.id for each in await find_dead_letters(connection, str(number))] == [number]


async def test_all_dead_letters_are_read_in_pages(connection: asyncpg.Connection) -> None:
    total = DEAD_LETTERS_AT_ONCE + 3
    for number in range(total):
        event = contract_event(f"evt_{number}")
        await store.dead_letter(connection, Entry(f"{number + 1}-0", 1, event, {}), "no", "")
    ids = [each.id async for each in iterate_open(connection)]
    assert len(ids) == total
    assert ids == sorted(ids)


async def test_a_dead_letter_is_discarded_once(stream: Stream, connection: asyncpg.Connection) -> None:
    number = await dead_letter_one(stream, connection)
    (dead_letter,) = await find_dead_letters(connection, str(number))
    assert (await discard(connection, dead_letter, act=ACT)).outcome is DeadLetterOutcome.DISCARDED
    assert (await discard(connection, dead_letter, act=ACT)).outcome is DeadLetterOutcome.CLOSED_BEFORE
    assert await state_of(connection, number) == "discarded"


async def test_a_server_without_an_append_only_file_leaves_the_dead_letter_open(
    private_valkey: ValkeyServer, connection: asyncpg.Connection, keys: Keys
) -> None:
    async with client_of(private_valkey) as redis:
        await redis.config_set("appendonly", "no")
        stream = Stream(redis, keys)
        number = await dead_letter_one(stream, connection)
        assert (await replay_one(stream, connection, str(number))).outcome is DeadLetterOutcome.UNPROVEN
        assert await state_of(connection, number) == "open"
        assert (await replay_one(stream, connection, str(number))).outcome is DeadLetterOutcome.UNPROVEN
        assert await redis.xlen(keys.events) == 1


@pytest.mark.parametrize("name", ["entry_ids", "find_entries", "replay"])
def test_each_script_opens_with_its_contract(name: str) -> None:
    text = (Path("operations/lua") / f"{name}.lua").read_text()
    assert text.startswith("#!lua")
    assert all(word in text for word in ("-- KEYS", "-- ARGV", "-- Returns"))
