"""One worker with the full ritual against the same rows inserted raw: as sets, and one transaction per event; and with
a user's handler that writes one row per event.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from consumers.settings import Settings
from contract.event import Event, to_entry
from sql.connect import connect
from tests.benchmarks import one_row
from tests.benchmarks.events import stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import DRAIN_TIMEOUT_S, KEYS, Harness, Options, cpu_s, harness
from tests.benchmarks.raw_inserts import insert_one_by_one, insert_sets, what_was_made
from tests.support.database import CONNECT_TIMEOUT_S, fresh_database
from tests.support.wait import until

RAW_TARGET = 0.4
ONE_BY_ONE_TARGET = 20.0
"""Both against bare INSERTs in transactions of their own, which read, lock and acknowledge nothing, and against the
same ritual with one event at a time.
"""

HANDLER_TARGET_PER_S = 3000.0

EVENTS_PER_S = 8000
"""About what a worker applies; it gets this number of events for each second to be measured."""

ONE_BY_ONE_PER_S = 400
"""About what one transaction per event comes to."""

PIPELINE_ENTRIES = 500

BATCH_SIZE = Settings.model_fields["batch_size"].default
"""The worker's own, used by the raw inserts too."""


@dataclass(slots=True)
class Found:
    """What each round found."""

    worker: list[float] = field(default_factory=list)
    worker_cpu_us: list[float] = field(default_factory=list)
    worker_one_by_one: list[float] = field(default_factory=list)
    with_handler: list[float] = field(default_factory=list)
    sets: list[float] = field(default_factory=list)
    one_by_one: list[float] = field(default_factory=list)


async def run(options: Options) -> list[Figure]:
    """Every side in turn, and again, each time in a fresh database; medians."""
    count = BATCH_SIZE * max(4, round(options.seconds * EVENTS_PER_S / BATCH_SIZE))
    few = max(BATCH_SIZE, int(options.seconds * ONE_BY_ONE_PER_S))
    found = Found()
    async with harness() as on:
        for _ in range(options.rounds):
            await _round(on, found, list(stream_events(0, count)), few)
    return _figures(found)


async def _round(on: Harness, found: Found, events: Sequence[Event], few: int) -> None:
    async with fresh_database(on.postgres) as url:
        rate, cpu_us = await _worker(on, url, events, BATCH_SIZE)
        found.worker.append(rate)
        found.worker_cpu_us.append(cpu_us)
        by_worker = await what_was_made(url)
    async with fresh_database(on.postgres) as url:
        found.with_handler.append(await _worker_with_handler(on, url, events))
    async with fresh_database(on.postgres) as url:
        found.sets.append(len(events) / await insert_sets(url, events, BATCH_SIZE))
        assert await what_was_made(url) == by_worker, "the two sides have not made the same rows"
    async with fresh_database(on.postgres) as url:
        found.one_by_one.append(few / await insert_one_by_one(url, events[:few]))
    async with fresh_database(on.postgres) as url:
        rate, _ = await _worker(on, url, events[:few], batch_size=1)
        found.worker_one_by_one.append(rate)


async def _worker_with_handler(on: Harness, url: str, events: Sequence[Event]) -> float:
    """Events per second of one worker with a handler that writes a row for each."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute(one_row.TABLE)
        rate, _ = await _worker(on, url, events, BATCH_SIZE, handlers=f"{one_row.__name__}:handlers")
        assert await connection.fetchval(one_row.COUNT) == len(events), "the handler was not called once for each"
    return rate


async def _worker(
    on: Harness, url: str, events: Sequence[Event], batch_size: int, handlers: str = ""
) -> tuple[float, float]:
    return await measure_worker(on, url, events, {"BATCH_SIZE": str(batch_size), "HANDLERS": handlers})


async def measure_worker(
    on: Harness, url: str, events: Sequence[Event], env: Mapping[str, str]
) -> tuple[float, float]:  # fmt: skip
    """Events per second of one worker, from its first batch to its last, and its CPU time for each in µs."""
    await fill(on, events)
    return await measure_backlog(on, url, len(events), env)


async def measure_backlog(
    on: Harness, url: str, filled: int, env: Mapping[str, str], *, timeout_s: float = DRAIN_TIMEOUT_S
) -> tuple[float, float]:
    """The same for a stream that was filled already."""
    (worker,) = await on.workers(url, env=env)
    backlog, began_s, began_cpu_s = await _first_batch(on, worker.pid, filled)
    await on.drained(timeout_s=timeout_s)
    elapsed_s, used_s = time.perf_counter() - began_s, cpu_s(worker.pid) - began_cpu_s
    worker.stop()
    await on.redis.flushdb()
    return backlog / elapsed_s, used_s / backlog * 1e6


async def fill(on: Harness, events: Sequence[Event]) -> None:
    """Puts the entries into the stream, with their markers, as a gateway would have done."""
    for first in range(0, len(events), PIPELINE_ENTRIES):
        pipeline = on.redis.pipeline(transaction=False)
        for event in events[first : first + PIPELINE_ENTRIES]:
            pipeline.execute_command("XADD", KEYS.events, "*", *to_entry(event))
            pipeline.set(
                KEYS.seen(event.namespace, event.event_id), "0-0", ex=Settings.model_fields["seen_ttl_s"].default
            )
        await pipeline.execute()


async def _first_batch(on: Harness, pid: int, filled: int) -> tuple[int, float, float]:
    """The entries left once the worker has acknowledged some, and the time of that."""

    async def begun() -> tuple[int, float, float] | None:
        backlog = await on.backlog()
        return (backlog, time.perf_counter(), cpu_s(pid)) if backlog < filled else None

    seen = await until(begun, timeout_s=DRAIN_TIMEOUT_S, what="the worker acknowledges its first batch")
    assert seen
    return seen


def _figures(found: Found) -> list[Figure]:
    group = f"one worker, batches of {BATCH_SIZE}"
    worker, alone = median(found.worker), median(found.worker_one_by_one)
    sets, one_by_one, handled = median(found.sets), median(found.one_by_one), median(found.with_handler)
    return [
        Figure(group, "events applied, full ritual", worker, "/s", sets, "raw sets", RAW_TARGET),
        Figure(group, "events applied, full ritual", worker, "/s", one_by_one, "a transaction each", ONE_BY_ONE_TARGET),
        Figure(group, "events applied, full ritual", worker, "/s", alone, "with BATCH_SIZE=1", ONE_BY_ONE_TARGET),
        Figure(group, "with a handler that writes a row each", handled, "/s", worker, "without a handler"),
        Figure(group, "with a handler that writes a row each", handled, "/s", target=HANDLER_TARGET_PER_S),
        Figure(group, "CPU of the worker per event", median(found.worker_cpu_us), "µs"),
    ]
