"""What the programs and Redis hold while a great many events go through: it must not grow with their number."""

from dataclasses import dataclass
from statistics import linear_regression

from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Harness, Options, harness, resident_bytes
from tests.support.child import Child
from tests.support.database import fresh_database
from tests.support.wait import until

CONNECTIONS = 128
CHUNK_EVENTS_MAX = 10_000
"""Sent at once; the next ones follow when the worker has nearly caught up, so that the backlog is bounded."""

CHUNKS_MIN = 20
"""Fewer would not show a line."""

COMMITTED_TTL_S = 5
"""Markers of committed events are forgotten soon, so that what stays in Redis would be a leak."""

KEYS_LEFT_MAX = 10
"""The stream, its epoch, the worker's slot … : what is there without any event."""

EXPIRY_TIMEOUT_S = 60.0
"""Redis looks for expired keys in the background, a few at a time."""

WARM_UP_SHARE = 0.25
"""The first quarter fills caches and pools; growth is what comes after."""

WORKER_TARGET_MB = 150.0
FLAT_MB_PER_100K = 1.0
"""Below it a program counts as flat: a leak of 10 bytes per event would show."""

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory each program held after a number of events."""

    events: int
    worker_mb: float
    gateway_mb: float
    redis_mb: float


async def run(options: Options) -> list[Figure]:
    """Sends all events and watches."""
    chunk = max(1, min(CHUNK_EVENTS_MAX, options.events // CHUNKS_MIN))
    async with harness() as on, fresh_database(on.postgres) as url:
        gateway = await on.gateway()
        (worker,) = await on.workers(url, env={"COMMITTED_TTL_S": str(COMMITTED_TTL_S)})
        before_mb = await _redis_mb(on)
        samples = []
        for sent in range(chunk, options.events + 1, chunk):
            await on.load.send(gateway.port, connections=CONNECTIONS, count=chunk)
            await on.drained(left_max=chunk // 10)
            samples.append(await _sample(on, sent, worker, gateway))
        await on.drained()
        await until(lambda: _is_empty(on), timeout_s=EXPIRY_TIMEOUT_S, what="the markers of what is committed expire")
        after_mb = await _redis_mb(on)
    return _figures(samples, before_mb, after_mb)


async def _sample(on: Harness, events: int, worker: Child, gateway: Child) -> Sample:
    return Sample(events, resident_bytes(worker.pid) / MB, resident_bytes(gateway.pid) / MB, await _redis_mb(on))


async def _redis_mb(on: Harness) -> float:
    return int((await on.redis.info("memory"))["used_memory"]) / MB


async def _is_empty(on: Harness) -> bool:
    return int(await on.redis.dbsize()) <= KEYS_LEFT_MAX


def _figures(samples: list[Sample], before_mb: float, after_mb: float) -> list[Figure]:
    events = samples[-1].events
    group = f"memory over {events:,} events"
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    grown_mb = (after_mb - before_mb) / events * 100_000
    return [
        Figure(
            group, "a worker, at most", max(s.worker_mb for s in samples), "MB", target=WORKER_TARGET_MB, at_most=True
        ),
        _flat(group, "a worker", warm, [s.worker_mb for s in warm]),
        Figure(group, "the gateway, at most", max(s.gateway_mb for s in samples), "MB"),
        _flat(group, "the gateway", warm, [s.gateway_mb for s in warm]),
        Figure(group, "Redis, at most", max(s.redis_mb for s in samples), "MB"),
        Figure(group, "Redis, before", before_mb, "MB"),
        Figure(group, "Redis, after", after_mb, "MB"),
        Figure(group, "Redis, grown per 100,000 events", grown_mb, "MB", target=FLAT_MB_PER_100K, at_most=True),
    ]


def _flat(group: str, what: str, samples: list[Sample], held_mb: list[float]) -> Figure:
    """The slope of the straight line that fits best."""
    slope = linear_regression([sample.events for sample in samples], held_mb).slope
    what = f"{what}, grown per 100,000 events"
    return Figure(group, what, slope * 100_000, "MB", target=FLAT_MB_PER_100K, at_most=True)
