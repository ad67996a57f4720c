"""Two gateways and four workers on one partition and on eight, in turns: from POST to COMMIT."""

import asyncio
import time
from statistics import median

from consumers.stream_stats import read_all_stats
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import DRAIN_TIMEOUT_S, KEYS, Harness, Options, harness
from tests.benchmarks.load import Load, load
from tests.support.database import fresh_database
from tests.support.wait import until

PARTITIONS = 8
GATEWAYS = 2
WORKERS = 4
CONNECTIONS = 64
EVENTS_A_SECOND = 2500
"""How many events make up one of `--seconds`."""

NO_SLOWER = 0.9
"""The least that eight partitions may give of what one gives: both vary by more than this on a machine in use."""


async def run(options: Options) -> list[Figure]:
    """Rates of both, in turns."""
    rates: dict[int, list[float]] = {1: [], PARTITIONS: []}
    async with harness() as on, load(first=10**9) as second:
        for _ in range(options.rounds):
            for partitions, found in rates.items():
                found.append(await _rate(on, (on.load, second), partitions, int(EVENTS_A_SECOND * options.seconds)))
    one, several = (median(found) for found in rates.values())
    what = f"POST to COMMIT, {GATEWAYS} gateways, {WORKERS} workers, {PARTITIONS} partitions"
    return [Figure("partitions", what, several, "/s", against=one, against_what="one partition", target=NO_SLOWER)]


async def _is_shared(on: Harness, partitions: int) -> bool:
    """Whether each partition has its workers, and no more of them than in the end."""
    leases = [sum([await on.redis.exists(KEYS.of(n).slot(slot)) for slot in range(1, 9)]) for n in range(partitions)]
    return leases == [max(1, WORKERS // partitions)] * partitions


async def _rate(on: Harness, loads: tuple[Load, Load], partitions: int, count: int) -> float:
    """Events per second from the first POST until the last one is committed and acknowledged."""
    env = {"PARTITIONS": str(partitions)}
    async with fresh_database(on.postgres) as url:
        pool = await on.workers(url, WORKERS, env)
        gateways = [await on.gateway(env) for _ in range(GATEWAYS)]
        await until(lambda: _is_shared(on, partitions), timeout_s=DRAIN_TIMEOUT_S, what="the shares are settled")
        halves = zip(loads, gateways, strict=True)
        outcomes = await asyncio.gather(
            *(one.send(gateway.port, connections=CONNECTIONS, count=count // 2) for one, gateway in halves)
        )

        async def is_drained() -> bool:
            stream = (await read_all_stats(on.redis, KEYS)).stream
            return stream is None or stream.length == 0

        await until(is_drained, timeout_s=DRAIN_TIMEOUT_S, what="the backlog is gone")
        rate = count / (time.time() - min(outcome.began_s for _, outcome in outcomes))
        for child in (*gateways, *pool):
            child.stop()
    await on.redis.flushdb()
    return rate
