"""`python -m tests.adversity.failover_figures --redis sentinel --failovers 20`: how long, and is anything lost?

A master is replaced again and again under load, with `fsync+replica`: each kind of end, and in a cluster each of the
masters, in turn. Prints what detection, election, the new master's replica and our own programs took; the checker
looks at the end.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adversity.masters_die import Outage, all_follow, fail_over
from tests.adversity.prove import SENDERS, whole_system
from tests.adversity.variants import REPLICATED, Changes
from tests.support.harness import Harness
from tests.support.load import Load
from tests.support.masters import Masters

PARTITIONS = {"sentinel": 1, "cluster": 8}
"""Enough that each master has some."""

PARTS: dict[str, Callable[[Outage], float]] = {
    "no 2xx for": lambda outage: outage.outage_s,
    "beyond detection": lambda outage: outage.beyond_detection_s,
    "detection": lambda outage: outage.detection_s,
    "election": lambda outage: outage.election_s,
    "replica": lambda outage: outage.replica_s,
    "reconnect": lambda outage: outage.reconnect_s,
}


async def measure(name: str, seed: int, failovers: int, partitions: int, folder: Path) -> list[str]:
    """Replace masters so often. Return the broken promises."""
    rng = random.Random(seed)
    found: list[Masters] = []

    @asynccontextmanager
    async def variant(harness: Harness) -> AsyncIterator[Changes]:
        async with REPLICATED[name](harness) as servers:
            found.append(servers)
            yield Changes()

    async with whole_system(folder, [variant], partitions) as (harness, _):
        (servers,) = found
        load = Load(lambda: harness.urls, harness.history, seed=rng.randrange(2**32), senders=SENDERS)
        sending = asyncio.create_task(load.run())
        outages: list[Outage] = []
        try:
            for number, (kind, shard) in zip(range(1, failovers + 1), _plan(servers, rng), strict=False):
                outages.append(await fail_over(harness, servers, kind, shard))
                _say(f"{number}. {outages[-1]}; {harness.history.promised} events promised, "
                     f"load {os.getloadavg()[0]:.0f}")  # fmt: skip
                await all_follow(harness, servers)
            load.finish()
            await sending
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        _say(f"Answers: {dict(sorted(harness.history.statuses.items()))}")
        for line in summary(outages):
            _say(line)
        return await harness.check_promises()


def _plan(servers: Masters, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yield each kind with each master, again and again, in an order that the seed decides."""
    kinds, shards = list(servers.failovers), list(servers.shards)
    while True:
        order, masters = rng.sample(kinds, len(kinds)), rng.sample(shards, len(shards))
        for shift in range(len(masters)):
            yield from ((kind, masters[(number + shift) % len(masters)]) for number, kind in enumerate(order))


def summary(outages: Sequence[Outage]) -> list[str]:
    """Return the median, the 95th percentile and the longest of each part: of all, by kind and by master."""
    groups = {"all": list(outages)}
    for outage in sorted(outages, key=lambda outage: (outage.kind, outage.shard)):
        groups.setdefault(outage.kind, []).append(outage)
    for outage in sorted(outages, key=lambda outage: outage.shard):
        groups.setdefault(outage.shard, []).append(outage)
    return ["Seconds, as median / p95 / longest:"] + [
        f"{group} ({len(found)}): " + ", ".join(f"{part} {_spread(list(map(of, found)))}" for part, of in PARTS.items())
        for group, found in groups.items()
    ]


def _spread(values: Sequence[float]) -> str:
    p95 = statistics.quantiles(values, n=100, method="inclusive")[94] if len(values) > 1 else values[0]
    return f"{statistics.median(values):.2f} / {p95:.2f} / {max(values):.2f}"


def main() -> int:
    """0 where every promise was kept, 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversity.failover_figures", description=__doc__)
    parser.add_argument("--redis", choices=REPLICATED, default="sentinel", help="who replaces the master")
    parser.add_argument("--failovers", type=int, default=20, help="how often; 20 if absent")
    parser.add_argument("--seed", type=int, default=1, help="decides in which order; 1 if absent")
    parser.add_argument("--partitions", type=int, help="1 with Sentinel and 8 in a cluster if absent")
    arguments = parser.parse_args()
    partitions = arguments.partitions or PARTITIONS[arguments.redis]
    folder = Path(tempfile.mkdtemp(prefix="failovers-"))
    _say(f"{arguments.failovers} failovers, seed {arguments.seed}. History and logs: {folder}")
    measured = measure(arguments.redis, arguments.seed, arguments.failovers, partitions, folder)
    broken = asyncio.run(measured)
    for line in broken:
        _say(line)
    _say(f"{len(broken)} promises broken." if broken else "Of all 2xx none was lost; every promise was kept.")
    return 1 if broken else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
