"""Masters that die, freeze and are replaced under load, and for how long nothing is accepted then."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.adversity.faults import Fault
from tests.support.harness import Harness
from tests.support.servers import ValkeyServer
from tests.support.wait import until

HEALED_S = 60.0
"""How long until all servers follow the new master again, on a busy machine. Sentinels look every ten seconds."""

ACCEPTED_S = 30.0
"""How long it may take until events are accepted again, before the test gives up."""

AGAIN = 20
"""Events that are promised after a failover before it counts as over."""


class Replicated(Protocol):
    """Servers of which one is the master of our keys, and who replaces it."""

    master: ValkeyServer
    detects_after_s: float
    """How long a dead master is waited for."""

    @property
    def failovers(self) -> Mapping[str, Callable[[], Coroutine[None, None, None]]]:
        """The ways in which the master is replaced; each returns once it is, and the old one is back."""

    async def is_whole(self) -> bool:
        """Whether all servers follow the master, so that it may be replaced again."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What one failover cost the senders: the longest time without any 2xx, and until there was another master."""

    kind: str
    accepted_nothing_s: float
    replaced_after_s: float
    detected_after_s: float

    @property
    def beyond_detection_s(self) -> float:
        return self.accepted_nothing_s - self.detected_after_s

    def __str__(self) -> str:
        return (
            f"{self.kind}: no 2xx for {self.accepted_nothing_s:.2f} s, new master after {self.replaced_after_s:.2f} s"
        )


async def fail_over(harness: Harness, servers: Replicated, kind: str) -> Outage:
    """Replace the master under load, and wait until events are accepted again."""
    old, began_s = servers.master, time.monotonic()
    over = asyncio.create_task(servers.failovers[kind]())
    await until(lambda: servers.master is not old or over.done(), what="there is another master")
    replaced_s = time.monotonic()
    await over
    harness.valkey = servers.master
    goal = harness.history.promised + AGAIN
    await until(lambda: harness.history.promised >= goal, timeout_s=ACCEPTED_S, what="events are accepted again")
    detected_s = 0.0 if kind == "planned" else servers.detects_after_s
    gap_s = longest_gap_s(harness.history.accepted_at_s, began_s)
    return Outage(kind, gap_s, replaced_s - began_s, detected_s)


def longest_gap_s(accepted_at_s: Sequence[float], since_s: float) -> float:
    """Return the longest time without a 2xx from a time on."""
    times = [since_s, *(at_s for at_s in accepted_at_s if at_s >= since_s)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


async def all_follow(harness: Harness, servers: Replicated) -> None:
    """Wait until all servers follow the master, so that it may be the next to die."""
    await until(servers.is_whole, timeout_s=HEALED_S, what="all servers follow the new master")
    harness.valkey = servers.master


def faults(servers: Replicated) -> dict[str, Fault]:
    """Return what can happen to the masters, for the judge. What breaks at the same time is healed before the end."""
    return {f"master {kind}": _fault(servers, kind) for kind in servers.failovers}


def _fault(servers: Replicated, kind: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        await servers.failovers[kind]()
        harness.valkey = servers.master
        yield
        await all_follow(harness, servers)

    return fault
