"""What `Prefer: wait=N` costs: from the commit until its sender is answered, and from POST to that answer.

The commit's time is that of its record, by Postgres' clock, which is this machine's; until the record is on disk and
the worker knows it, some more time passes. That counts as a cost of waiting: the figure is too high, never too
little. (`committed_at` would be the transaction's beginning.)
"""

from statistics import quantiles

from tests.benchmarks.end_to_end import COMMIT_TIMESTAMPS, commit_times_s
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Harness, Options, harness
from tests.support.database import fresh_database

RATE = 200.0
WAIT_S = 5
SECONDS_FACTOR = 5
"""A 99th percentile needs many events: this many times `--seconds`."""

CONNECTIONS = 64
WARM_UP = 200
AFTER_COMMIT_TARGET_MS = 50.0


async def run(options: Options) -> list[Figure]:
    """At a steady rate, through one gateway and one worker."""
    async with harness(COMMIT_TIMESTAMPS) as on, fresh_database(on.postgres) as url:
        return await _steady(on, url, options)


async def _steady(on: Harness, url: str, options: Options) -> list[Figure]:
    gateway = await on.gateway()
    (worker,) = await on.workers(url)
    await on.load.send(gateway.port, connections=CONNECTIONS, count=WARM_UP, rate=RATE, wait_s=WAIT_S)
    count = int(RATE * options.seconds * SECONDS_FACTOR)
    order, outcome = await on.load.send(gateway.port, connections=CONNECTIONS, count=count, rate=RATE, wait_s=WAIT_S)
    await on.drained()
    gateway.stop()
    worker.stop()
    committed_s = await commit_times_s(url)
    answered = list(enumerate(outcome.answered_s))
    after_commit = quantiles([(at_s - committed_s[order.first + number]) * 1000 for number, at_s in answered], n=100)
    whole = quantiles([(at_s - outcome.began_s - number / RATE) * 1000 for number, at_s in answered], n=100)
    group = f"Prefer: wait={WAIT_S}, {RATE:g} events/s"
    target = AFTER_COMMIT_TARGET_MS
    return [
        Figure(group, "COMMIT to 201, half within", after_commit[49], "ms"),
        Figure(group, "COMMIT to 201, 99 % within", after_commit[98], "ms", target=target, at_most=True),
        Figure(group, "POST to 201, half within", whole[49], "ms"),
        Figure(group, "POST to 201, 99 % within", whole[98], "ms"),
        Figure(group, "the load itself was late by at most", outcome.lateness_s * 1000, "ms"),
    ]
