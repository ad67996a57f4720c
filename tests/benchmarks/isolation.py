"""Two workers with one percent of events whose handlers hang, against the same workers without them.

The others' events are what is measured: from the first that is applied to the last, with a handler that writes a row
for each.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from contract.event import Event
from sql.connect import connect
from tests.benchmarks import hanging
from tests.benchmarks.consumers import BATCH_SIZE, fill
from tests.benchmarks.events import stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import DRAIN_TIMEOUT_S, Harness, Options, harness
from tests.support.database import CONNECT_TIMEOUT_S, fresh_database
from tests.support.wait import until

HANGING_SHARE = 0.01
EVERY = round(1 / HANGING_SHARE)
KEPT_TARGET = 0.5
EVENTS_PER_S = 6000
"""About what two workers apply with a handler; they get this number of events for each second to be measured."""

WORKERS = 2


async def run(options: Options) -> list[Figure]:
    """Both sides in turn, and again, each time in a fresh database; medians."""
    count = BATCH_SIZE * max(6, round(options.seconds * EVENTS_PER_S / BATCH_SIZE))
    kept: dict[str, list[float]] = {"none": [], "sleeps": []}
    async with harness() as on:
        for _ in range(options.rounds):
            for how, rates in kept.items():
                async with fresh_database(on.postgres) as url:
                    rates.append(await _rate(on, url, list(stream_events(0, count)), how))
    without, hanging_too = median(kept["none"]), median(kept["sleeps"])
    group = f"{WORKERS} workers, a handler that writes a row each"
    return [
        Figure(group, "events/s, none hangs", without, "/s"),
        Figure(group, "others' events/s, 1 % hang", hanging_too, "/s", without, "none hangs", KEPT_TARGET),
    ]


async def _rate(on: Harness, url: str, events: Sequence[Event], how: str) -> float:
    if how != "none":
        events = [_hanging(event) if n % EVERY == EVERY // 2 else event for n, event in enumerate(events)]
    others = sum(not event.event_id.startswith(hanging.PREFIX) for event in events)
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute(hanging.TABLE)
        await fill(on, events)
        workers = await on.workers(url, WORKERS, env={"HANDLERS": f"{hanging.__name__}:handlers"})

        async def applied(at_least: int) -> int:
            count = int(await connection.fetchval(hanging.COUNT))
            return count if count >= at_least else 0

        first = await until(lambda: applied(1), timeout_s=DRAIN_TIMEOUT_S, what="the first events are applied")
        began_s = time.perf_counter()
        await until(lambda: applied(others), timeout_s=DRAIN_TIMEOUT_S, what="all others are applied")
        elapsed_s = time.perf_counter() - began_s
    for worker in workers:
        worker.kill()
    await on.redis.flushdb()
    return (others - int(first)) / elapsed_s


def _hanging(event: Event) -> Event:
    return replace(event, event_id=f"{hanging.PREFIX}{event.event_id}")
