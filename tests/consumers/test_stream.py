"""Reading and reclaiming entries, decoding them, and recognising a lost group."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from consumers.entry import Entry, Unreadable, read_entry
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.stream import Stream, group_is_missing
from contract.event import to_entry
from contract.keys import GROUP, Keys
from runtime.redis_connection import client
from tests.support import stream_states
from tests.support.events import contract_event

OLD_MS = 60_000
BYTES_MAX = 1_000_000
QUARANTINE_AFTER = 3


@pytest.fixture
async def consumer_side(settings: Settings, keys: Keys) -> AsyncIterator[Stream]:
    connect = partial(client, settings.redis_url, timeout_s=settings.redis_timeout_s, name="a-test")
    async with connect() as redis, connect(blocks_ms=50) as reader:
        consumer_side = Stream(reader, redis, Scripts(redis, keys), keys)
        await consumer_side.ensure_group()
        yield consumer_side


async def test_entries_are_read_in_order_up_to_the_count(stream: stream_states.Stream, consumer_side: Stream) -> None:
    ids = [await stream.publish(contract_event(f"evt_{i}")) for i in range(5)]
    first = await consumer_side.read("worker-1", 3, BYTES_MAX, None)
    rest = await consumer_side.read("worker-1", 3, BYTES_MAX, 50)
    assert [entry.entry_id for entry in [*first, *rest]] == ids
    assert [entry.attempt for entry in first] == [1, 1, 1]
    assert isinstance(first[0], Entry)
    assert first[0].event == contract_event("evt_0")
    assert await consumer_side.read("worker-1", 3, BYTES_MAX, 1) == []
    assert await consumer_side.read("worker-1", 3, BYTES_MAX, None) == []


async def test_bytes_stay_bytes(stream: stream_states.Stream, consumer_side: Stream) -> None:
    await stream.publish_fields([b"\xff", b"\xfe\x00", "v", "1"])
    (entry,) = await consumer_side.read("worker-1", 1, BYTES_MAX, None)
    assert isinstance(entry, Unreadable)
    assert entry.fields == {b"\xff": b"\xfe\x00", b"v": b"1"}


async def test_reclaiming_walks_the_whole_pending_list_page_by_page(
    redis: Redis, keys: Keys, stream: stream_states.Stream, consumer_side: Stream
) -> None:
    ids = [await stream.publish(contract_event(f"evt_{i}")) for i in range(10)]
    await consumer_side.read("worker-1", 10, BYTES_MAX, None)
    for entry_id in ids:
        await redis.xclaim(keys.events, GROUP, "worker-1", 0, [entry_id], idle=OLD_MS, justid=True)
    await redis.xdel(keys.events, ids[4], ids[9])
    found: list[str] = []
    gone: list[str] = []
    for _ in range(10):
        reclaimed = await consumer_side.reclaim("worker-2", 1000, 3, QUARANTINE_AFTER, 10_000)
        found += [entry.entry_id for entry in reclaimed.entries]
        gone += reclaimed.gone
    assert found == [entry_id for entry_id in ids if entry_id not in (ids[4], ids[9])]
    assert gone == [ids[4], ids[9]]


async def test_a_lost_group_is_recognised(redis: Redis, keys: Keys, consumer_side: Stream) -> None:
    await redis.delete(keys.events)
    with pytest.raises(ResponseError) as raised:
        await consumer_side.read("worker-1", 1, BYTES_MAX, None)
    assert group_is_missing(raised.value)
    with pytest.raises(ResponseError) as raised:
        await consumer_side.idle_consumers()
    assert group_is_missing(raised.value)
    assert not group_is_missing(ResponseError("WRONGTYPE"))
    assert not group_is_missing(ValueError("NOGROUP"))
    assert await consumer_side.ensure_group()
    assert not await consumer_side.ensure_group()


NAMES = [name for name in to_entry(contract_event())[::2] if isinstance(name, str)]
ODD = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass")),
    st.datetimes().map(lambda when: when.isoformat().encode()),
    st.sampled_from(
        [b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"[1]", b'{"a":1}', b"[" * 9000, b"1"]
    ),
)


@given(st.dictionaries(st.sampled_from(NAMES), st.one_of(st.none(), ODD), max_size=4))
def test_an_entry_with_any_content_is_decoded_or_unreadable(changes: dict[str, bytes | None]) -> None:
    flat = to_entry(contract_event())
    fields = {
        str(name).encode(): value.encode() if isinstance(value, str) else value
        for name, value in zip(flat[::2], flat[1::2], strict=True)
    }
    for name, value in changes.items():
        if value is None:
            del fields[name.encode()]
        else:
            fields[name.encode()] = value
    entry = read_entry(b"1-1", 2, fields)
    assert (entry.entry_id, entry.attempt, entry.fields) == ("1-1", 2, fields)
    assert isinstance(entry, Entry) or str(entry.problem)
