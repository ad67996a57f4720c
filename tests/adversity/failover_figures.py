"""`python -m tests.adversity.failover_figures --redis sentinel --failovers 20`: how long, and is anything lost?

The master is replaced again and again under load, with `fsync+replica`; the checker looks at the end.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adversity.masters_die import Outage, Replicated, all_follow, fail_over
from tests.adversity.prove import SENDERS, whole_system
from tests.adversity.variants import REPLICATED, Changes
from tests.support.harness import Harness
from tests.support.load import Load


async def measure(name: str, seed: int, failovers: int, folder: Path) -> list[str]:
    """Replace the master so often. Return the broken promises."""
    rng = random.Random(seed)
    found: list[Replicated] = []

    @asynccontextmanager
    async def variant(harness: Harness) -> AsyncIterator[Changes]:
        async with REPLICATED[name](harness) as servers:
            found.append(servers)
            yield Changes()

    async with whole_system(folder, [variant]) as (harness, _):
        (servers,) = found
        load = Load(lambda: harness.urls, harness.history, seed=rng.randrange(2**32), senders=SENDERS)
        sending = asyncio.create_task(load.run())
        outages = []
        try:
            for number, kind in zip(range(1, failovers + 1), _kinds(list(servers.failovers), rng), strict=False):
                outages.append(await fail_over(harness, servers, kind))
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


def _kinds(kinds: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Yield all kinds again and again, in an order that the seed decides."""
    while True:
        yield from rng.sample(kinds, len(kinds))


def summary(outages: Sequence[Outage]) -> list[str]:
    """Return the median, the 95th percentile and the longest outage of each kind, and beyond detection of all."""
    kinds = sorted({outage.kind for outage in outages})
    found = {kind: [outage.accepted_nothing_s for outage in outages if outage.kind == kind] for kind in kinds}
    lines = [f"{kind}: {len(values)} times, no 2xx for {_spread(values)} s" for kind, values in found.items()]
    return [*lines, f"beyond detection: {_spread([outage.beyond_detection_s for outage in outages])} s"]


def _spread(values: Sequence[float]) -> str:
    p95 = statistics.quantiles(values, n=100, method="inclusive")[94] if len(values) > 1 else values[0]
    return f"{statistics.median(values):.2f} (p95 {p95:.2f}, longest {max(values):.2f})"


def main() -> int:
    """0 where every promise was kept, 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversity.failover_figures", description=__doc__)
    parser.add_argument("--redis", choices=REPLICATED, default="sentinel", help="who replaces the master")
    parser.add_argument("--failovers", type=int, default=20, help="how often; 20 if absent")
    parser.add_argument("--seed", type=int, default=1, help="decides in which order; 1 if absent")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="failovers-"))
    _say(f"{arguments.failovers} failovers, seed {arguments.seed}. History and logs: {folder}")
    broken = asyncio.run(measure(arguments.redis, arguments.seed, arguments.failovers, folder))
    for line in broken:
        _say(line)
    _say(f"{len(broken)} promises broken." if broken else "Every promise was kept.")
    return 1 if broken else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
