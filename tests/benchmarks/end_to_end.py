"""From POST to COMMIT on this machine: how much it sustains, and how long one event takes at a steady rate."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from sql import Queries, parse
from sql.connect import connect
from tests.benchmarks.client import Order, Outcome
from tests.benchmarks.events import event_number
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Harness, Options, harness
from tests.support.database import CONNECT_TIMEOUT_S, fresh_database

TIMES = Queries("commit_times", parse(Path(__file__).with_name("commit_times.sql").read_text(), "commit_times.sql"))

WORKERS = (2, 1)
CONNECTIONS = 128
SUSTAINED_TARGET = 2500.0

STEADY_RATE = 500.0
STEADY_SECONDS_FACTOR = 5
"""The latency needs more events than the throughput: this many times `--seconds`."""

STEADY_WARM_UP = 500
P99_TARGET_MS = 100.0

FLUSHES = 50
"""Single commits, to measure how long this disk takes to make one durable."""

COMMIT_TIMESTAMPS = {"track_commit_timestamp": "on"}


async def run(options: Options) -> list[Figure]:
    """How much, then how long."""
    async with harness(COMMIT_TIMESTAMPS) as on:
        sustained = [await _sustained(on, workers, options) for workers in WORKERS]
        return [*sustained, *await _steady(on, options)]


async def _sustained(on: Harness, workers: int, options: Options) -> Figure:
    """Events per second from the first POST until the last one is committed and acknowledged."""
    rates = []
    async with fresh_database(on.postgres) as url:
        gateway = await on.gateway()
        pool = await on.workers(url, workers)
        count = int(SUSTAINED_TARGET * options.seconds)
        for _ in range(options.rounds):
            _, outcome = await on.load.send(gateway.port, connections=CONNECTIONS, count=count)
            await on.drained()
            rates.append(count / (time.time() - outcome.began_s))
        for child in (gateway, *pool):
            child.stop()
    await on.redis.flushdb()
    word = "worker" if workers == 1 else "workers"
    target = SUSTAINED_TARGET if workers == WORKERS[0] else None
    return Figure("end to end", f"POST to COMMIT, {workers} {word}", median(rates), "/s", target=target)


async def _steady(on: Harness, options: Options) -> list[Figure]:
    """Latencies from when each POST was due, so that a stalled server cannot hide by stalling the load."""
    async with fresh_database(on.postgres) as url:
        gateway = await on.gateway()
        pool = await on.workers(url, WORKERS[0])
        await on.load.send(gateway.port, connections=CONNECTIONS, count=STEADY_WARM_UP)
        count = int(STEADY_RATE * options.seconds * STEADY_SECONDS_FACTOR)
        order, outcome = await on.load.send(gateway.port, connections=CONNECTIONS, count=count, rate=STEADY_RATE)
        await on.drained()
        for child in (gateway, *pool):
            child.stop()
        record_ms = await _latencies_ms(url, order, outcome)
        flush_ms = await _flush_ms(url)
    group = f"end to end, {STEADY_RATE:g} events/s"
    cuts = quantiles(record_ms, n=100)
    flush_slow_ms = quantiles(flush_ms, n=100)[98]
    return [
        Figure(group, "POST to COMMIT, half within", cuts[49] + flush_slow_ms, "ms"),
        Figure(group, "POST to COMMIT, 95 % within", cuts[94] + flush_slow_ms, "ms"),
        Figure(
            group, "POST to COMMIT, 99 % within", cuts[98] + flush_slow_ms, "ms", target=P99_TARGET_MS, at_most=True
        ),
        Figure(group, "of it: a slow (p99) flush of the commit, counted in", flush_slow_ms, "ms"),
        Figure(group, "the load itself was late by at most", outcome.lateness_s * 1000, "ms"),
    ]


async def commit_times_s(url: str) -> dict[int, float]:
    """When each event's commit record was written (Unix time), by the event's number."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        rows = await connection.fetch(TIMES["commit_times"])
    return {event_number(row["event_id"]): row["committed_s"] for row in rows}


async def _latencies_ms(url: str, order: Order, outcome: Outcome) -> list[float]:
    assert order.rate
    committed_s = await commit_times_s(url)
    numbers = range(order.first, order.first + order.count)
    return [(committed_s[n] - outcome.began_s - (n - order.first) / order.rate) * 1000 for n in numbers]


async def _flush_ms(url: str) -> Sequence[float]:
    """The time from a commit's record, which has a timestamp, until the client knows that it is durable."""
    found = []
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute(TIMES["make_flushes"])
        for _ in range(FLUSHES):
            number = await connection.fetchval(TIMES["commit_one"])
            durable_s = time.time()
            found.append((durable_s - await connection.fetchval(TIMES["commit_of_one"], number)) * 1000)
    return found
