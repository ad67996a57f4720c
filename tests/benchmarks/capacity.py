"""What an event costs to keep: memory of Redis while it waits, by the size of its body, and bytes of Postgres."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import md5
from pathlib import Path

from contract.event import Event
from sql import Queries, parse
from sql.connect import connect
from tests.benchmarks.consumers import fill, measure_backlog
from tests.benchmarks.events import EVENT_BYTES, stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import KEYS, Harness, Options, harness
from tests.support.database import CONNECT_TIMEOUT_S, fresh_database

CAPACITY = Queries("capacity", parse(Path(__file__).with_suffix(".sql").read_text(), "capacity.sql"))

BODIES_KB = (1, 4, 16)
ENTRIES = 4000
"""Entries of each size that are put into Redis."""

DRAIN_TIMEOUT_S = 1200.0
MILLION = 1_000_000


async def run(options: Options) -> list[Figure]:
    """Fill Redis with each size of body, then let one worker apply `--events` events with random ids."""
    async with harness() as on:
        figures = [figure for kb in BODIES_KB for figure in await _redis(on, kb)]
        return [*figures, *await _postgres(on, options.events)]


async def _redis(on: Harness, body_kb: int) -> list[Figure]:
    await _empty(on)
    before = await _used_bytes(on)
    await fill(on, [_with_body(event, body_kb) for event in _events(ENTRIES)])
    used = await _used_bytes(on) - before
    stream = await on.redis.memory_usage(KEYS.events, samples=0) or 0
    group = f"Redis per waiting entry, body of {body_kb} KB"
    return [
        Figure(group, "entry and marker, by used_memory", used / ENTRIES, "B"),
        Figure(group, "entry alone, by MEMORY USAGE", stream / ENTRIES, "B"),
    ]


async def _empty(on: Harness) -> None:
    """Empty Redis, and wait until the memory is free: by itself it frees it later."""
    await on.redis.execute_command("FLUSHDB", "SYNC")  # type: ignore[no-untyped-call]


async def _used_bytes(on: Harness) -> int:
    return int((await on.redis.info("memory"))["used_memory"])


async def _postgres(on: Harness, count: int) -> list[Figure]:
    await _empty(on)
    await fill(on, list(_events(count)))
    async with fresh_database(on.postgres) as url:
        before = await _sizes(url)
        per_s, cpu_us = await measure_backlog(on, url, count, {}, timeout_s=DRAIN_TIMEOUT_S)
        after = await _sizes(url)
    group = f"Postgres per million events of {EVENT_BYTES} B, from {count:,}"
    sizes = [
        Figure(group, name, (after[name] - before[name]) / count * MILLION / 1e6, "MB")
        for name in ("tables", "indexes", "wal")
    ]
    return [*sizes, Figure("one worker", "events applied", per_s, "/s"), Figure("one worker", "CPU", cpu_us, "µs")]


async def _sizes(url: str) -> dict[str, int]:
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute("VACUUM")
        return dict(await connection.fetchrow(CAPACITY["read_sizes"]))


def _events(count: int) -> Iterator[Event]:
    return stream_events(0, count, lambda number: md5(b"%d" % number, usedforsecurity=False).hexdigest())


def _with_body(event: Event, body_kb: int) -> Event:
    return replace(event, body=event.body[: body_kb * 1024].ljust(body_kb * 1024, b" "))
