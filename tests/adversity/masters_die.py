"""Masters that die, freeze and are replaced under load, and for how long nothing is accepted then."""

import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from contract.keys import partition_of_entry
from tests.adversity.faults import Fault
from tests.support.harness import Harness
from tests.support.history import History
from tests.support.masters import DETECTED, NAMED, REPLICATED, Masters, Moments
from tests.support.wait import until

HEALED_S = 60.0
"""How long until all servers follow the new master again, on a busy machine. Sentinels look every ten seconds."""

ACCEPTED_S = 60.0
"""How long it may take until events are accepted again, before the test gives up."""

WAITS_FOR_REDIS_S = 30
"""How long a gateway of the tests waits for a server that does not answer, if no other takes its place."""

RECONNECTS_WITHIN_S = 20.0
"""How long our programs may take on a busy machine. Less than that: they do not wait for the old master's answer."""

AGAIN = 20
"""2xx after a failover before it counts as over."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What one failover cost the senders of a master's events. Each step follows the one before it."""

    kind: str
    shard: str
    detection_s: float
    """Until enough of the others agreed that the master is dead; 0 where it was asked to give way."""
    election_s: float
    """From then until there was another master."""
    replica_s: float
    """From then until a replica of that one had a write on its disk: nothing may be confirmed before."""
    reconnect_s: float
    """From then until the first 2xx: what our programs take."""
    outage_s: float
    """The longest time without any 2xx."""

    @property
    def beyond_detection_s(self) -> float:
        return self.outage_s - self.detection_s

    def __str__(self) -> str:
        return (
            f"{self.kind}, {self.shard}: no 2xx for {self.outage_s:.2f} s = detection {self.detection_s:.2f} + "
            f"{self.beyond_detection_s:.2f} (election {self.election_s:.2f}, replica {self.replica_s:.2f}, "
            f"reconnect {self.reconnect_s:.2f})"
        )


async def fail_over(harness: Harness, servers: Masters, kind: str, shard: str | None = None) -> Outage:
    """Replace a master under load, and wait until its events are accepted again: that of partition 0 without a name."""
    partitions = harness.partitions
    shard = shard or next(each for each in servers.shards if 0 in servers.partitions_of(each, partitions))
    having = servers.partitions_of(shard, partitions)
    assert having, f"none of {partitions} partitions is in {shard}"
    await servers.follow(min(having))

    def accepted_at_s() -> list[float]:
        return _accepted_at_s(harness.history, having, partitions)

    async with servers.watched() as moments:
        began_s = time.monotonic()
        await servers.failovers[kind]()
        harness.valkey = servers.master
        await until(lambda: REPLICATED in moments.at_s, timeout_s=ACCEPTED_S, what="the new master has a replica")
        ready_s = moments.at_s[REPLICATED]
        await until(
            lambda: sum(at_s > ready_s for at_s in accepted_at_s()) >= AGAIN,
            timeout_s=ACCEPTED_S,
            what="events are accepted again",
        )
    return _outage(kind, shard, moments, began_s, accepted_at_s())


def _outage(kind: str, shard: str, moments: Moments, began_s: float, accepted_at_s: Sequence[float]) -> Outage:
    named_s, replicated_s = moments.at_s[NAMED], moments.at_s[REPLICATED]
    # A sentinel that comes late may not have said that the master is dead before another was named.
    detected_s = began_s if kind == "planned" else min(moments.at_s.get(DETECTED, named_s), named_s)
    first_s = min(at_s for at_s in accepted_at_s if at_s > named_s)
    return Outage(
        kind,
        shard,
        detection_s=detected_s - began_s,
        election_s=named_s - detected_s,
        replica_s=replicated_s - named_s,
        reconnect_s=max(0.0, first_s - replicated_s),
        outage_s=longest_gap_s(accepted_at_s, began_s),
    )


def _accepted_at_s(history: History, having: frozenset[int], partitions: int) -> list[float]:
    """Return when there was a 2xx about these partitions. One for an event that is applied names no entry."""
    if partitions == 1:
        return [at_s for at_s, _ in history.accepted]
    return [at_s for at_s, entry_id in history.accepted if entry_id and partition_of_entry(entry_id) in having]


def longest_gap_s(accepted_at_s: Sequence[float], since_s: float) -> float:
    """Return the longest time without a 2xx from a time on."""
    times = [since_s, *(at_s for at_s in accepted_at_s if at_s >= since_s)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


async def survive(harness: Harness, servers: Masters, kind: str) -> list[str]:
    """Replace the master between events. Return the broken promises."""
    async with harness.load() as load:
        await load.promised(50)
        outage = await fail_over(harness, servers, kind)
        await load.promised(50)
    late = [f"late: {outage}"] if outage.reconnect_s > RECONNECTS_WITHIN_S else []
    return late + await harness.check_promises()


async def all_follow(harness: Harness, servers: Masters) -> None:
    """Wait until all servers follow the master, so that it may be the next to die."""
    await until(servers.is_whole, timeout_s=HEALED_S, what="all servers follow the new master")
    harness.valkey = servers.master


def faults(servers: Masters) -> dict[str, Fault]:
    """Return what can happen to the masters, for the judge. What breaks at the same time is healed before the end."""
    return {f"master {kind}": _fault(servers, kind) for kind in servers.failovers}


def _fault(servers: Masters, kind: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
        await servers.follow(rng.randrange(harness.partitions))
        await servers.failovers[kind]()
        harness.valkey = servers.master
        yield
        await all_follow(harness, servers)

    return fault
