"""Masters that die, freeze and are replaced behind Sentinel, under load, and for how long nothing is accepted then."""

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass

from tests.support.harness import Harness
from tests.support.sentinels import DOWN_AFTER_S, Sentinels
from tests.support.wait import until

HEALED_S = 60.0
"""How long until all servers follow the new master again, on a busy machine. Sentinels look every ten seconds."""

ACCEPTED_S = 30.0
"""How long it may take until events are accepted again, before the test gives up."""

FailOver = Callable[[Sentinels], Coroutine[None, None, None]]


async def planned(cluster: Sentinels) -> None:
    """An operator asks a sentinel for it: the master gives way once a replica has everything."""
    await cluster.fail_over("COORDINATED")


async def forced(cluster: Sentinels) -> None:
    """Another becomes the master, and the old one is not asked: for seconds it takes writes, which will be lost."""
    await cluster.fail_over()


async def killed(cluster: Sentinels) -> None:
    """The old master is started again, as a master, and is demoted some seconds later."""
    cluster.master.kill()
    old = await cluster.another_master()
    await old.restart()


async def frozen(cluster: Sentinels) -> None:
    """The old master wakes up and does not know that it was replaced."""
    old = cluster.master
    old.pause()
    await cluster.another_master()
    old.resume()


FAILOVERS: dict[str, FailOver] = {"planned": planned, "killed": killed, "frozen": frozen}
ALL_FAILOVERS = FAILOVERS | {"forced": forced}

DETECTED_S = {"planned": 0.0, "forced": 0.0, "killed": DOWN_AFTER_S, "frozen": DOWN_AFTER_S}
"""How long it takes the sentinels to notice that the master is dead."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What one failover cost the senders: the longest time without any 2xx, and until the sentinels had a master."""

    kind: str
    accepted_nothing_s: float
    named_after_s: float

    @property
    def beyond_detection_s(self) -> float:
        return self.accepted_nothing_s - DETECTED_S[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}: no 2xx for {self.accepted_nothing_s:.2f} s, new master after {self.named_after_s:.2f} s"


async def fail_over(harness: Harness, cluster: Sentinels, kind: str) -> Outage:
    """Replace the master under load, and wait until events are accepted again."""
    began_s = time.monotonic()
    harness.history.fault(kind)
    over = asyncio.create_task(ALL_FAILOVERS[kind](cluster))
    named_s = began_s
    old = cluster.master
    while cluster.master is old and not over.done():
        await asyncio.sleep(0.01)
        named_s = time.monotonic()
    await over
    harness.valkey = cluster.master
    promised = harness.history.promised
    await until(lambda: harness.history.promised > promised + 20, timeout_s=ACCEPTED_S, what="events are accepted")
    return Outage(kind, longest_gap_s(harness.history.accepted_at_s, began_s), named_s - began_s)


async def all_follow(cluster: Sentinels) -> None:
    """Wait until all servers follow the new master, so that it may be the next to die."""
    await until(cluster.is_whole, timeout_s=HEALED_S, what="all servers follow the new master")


def longest_gap_s(accepted_at_s: Sequence[float], since_s: float) -> float:
    """Return the longest time without a 2xx from a time on."""
    times = [since_s, *(at_s for at_s in accepted_at_s if at_s >= since_s)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def kinds(rng: random.Random) -> Iterator[str]:
    """All kinds again and again, in an order that the seed decides."""
    while True:
        yield from rng.sample(list(FAILOVERS), len(FAILOVERS))


def summary(outages: Sequence[Outage]) -> list[str]:
    """Return the median, the 95th percentile and the longest outage of each kind, and beyond detection of all."""
    lines = [
        f"{kind}: {len(found)} times, no 2xx for {_spread(found)} s"
        for kind in FAILOVERS
        if (found := [outage.accepted_nothing_s for outage in outages if outage.kind == kind])
    ]
    return [*lines, f"beyond detection: {_spread([outage.beyond_detection_s for outage in outages])} s"]


def _spread(values: Sequence[float]) -> str:
    p95 = statistics.quantiles(values, n=100, method="inclusive")[94] if len(values) > 1 else values[0]
    return f"{statistics.median(values):.2f} (p95 {p95:.2f}, longest {max(values):.2f})"
