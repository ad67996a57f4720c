"""What DATABASE_POOLER=transaction costs a worker: straight to Postgres, the same with the setting, through PgBouncer.

The sides take turns A B C C B A, so that a machine that gets slower meanwhile slows each of them alike.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from contract.event import Event
from tests.benchmarks.consumers import BATCH_SIZE, EVENTS_PER_S, measure_worker
from tests.benchmarks.events import stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Harness, Options, harness
from tests.support.database import fresh_database
from tests.support.pgbouncer import pooling

DIRECT, SETTING, POOLED = "straight", "with the setting", "through PgBouncer"
TURNS = (DIRECT, SETTING, POOLED, POOLED, SETTING, DIRECT)

SET = {"DATABASE_POOLER": "transaction"}

CONNECTIONS = 6
"""As docs/deploying.md says for a worker."""

ONE_BY_ONE_PER_S = 400
"""About what batches of one come to: the other end of what a transaction costs."""


async def run(options: Options) -> list[Figure]:
    """Every side in turn, in full batches and one by one, each time in a fresh database; medians."""
    full = BATCH_SIZE * max(4, round(options.seconds * EVENTS_PER_S / BATCH_SIZE))
    few = max(100, int(options.seconds * ONE_BY_ONE_PER_S))
    figures: list[Figure] = []
    async with harness() as on:
        for size, count in ((BATCH_SIZE, full), (1, few)):
            rates, costs = await _measure(on, options.rounds, size, list(stream_events(0, count)))
            figures += _figures(size, rates, costs)
    return figures


async def _measure(
    on: Harness, rounds: int, size: int, events: Sequence[Event]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    rates: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for side in TURNS:
            rate, cost_us = await _turn(on, side, {"BATCH_SIZE": str(size)}, events)
            rates[side].append(rate)
            costs[side].append(cost_us)
    return rates, costs


async def _turn(on: Harness, side: str, env: Mapping[str, str], events: Sequence[Event]) -> tuple[float, float]:
    async with fresh_database(on.postgres) as url:
        if side != POOLED:
            return await measure_worker(on, url, events, {**env, **(SET if side == SETTING else {})})
        with pooling(url, "transaction", servers=CONNECTIONS) as pooled:
            return await measure_worker(on, pooled, events, {**env, **SET})


def _figures(size: int, rates: Mapping[str, Sequence[float]], costs: Mapping[str, Sequence[float]]) -> list[Figure]:
    group = f"one worker, batches of {size}"
    rate, cost = median(rates[DIRECT]), median(costs[DIRECT])
    others = (SETTING, POOLED)
    return [
        Figure(group, f"events applied, {DIRECT}", rate, "/s"),
        *(Figure(group, f"events applied, {side}", median(rates[side]), "/s", rate, DIRECT) for side in others),
        *(Figure(group, f"CPU of the worker, {side}", median(costs[side]), "µs", cost, DIRECT) for side in others),
    ]
