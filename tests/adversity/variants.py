"""Other systems than one Redis and one Postgres, before the same judge: `make prove POSTGRES=pooler`, and so on.

A new one is a function `(Harness) -> context manager` and an entry in REDIS or POSTGRES.
"""

import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.adversity import masters_die, replicas, upgrades
from tests.adversity.failovers import FAILOVERS
from tests.adversity.faults import FAULTS, Fault
from tests.adversity.operators import ACTS
from tests.support.database import as_worker
from tests.support.harness import REPLICATED_ENV, Harness
from tests.support.masters import Masters
from tests.support.pgbouncer import PgBouncer
from tests.support.redis_cluster import RedisCluster, running_cluster
from tests.support.sentinels import Sentinels, running_sentinels
from tests.support.servers import ValkeyServer

ONE = "one"
"""One server, which programs reach without anything between."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a variant does to the faults: it adds some, and takes away what cannot happen to it."""

    adds: Mapping[str, Fault] = field(default_factory=dict)
    takes: frozenset[str] = frozenset()
    broken: list[str] = field(default_factory=list)
    """Promises that the variant itself has seen broken."""
    finish: Callable[[], Awaitable[None]] | None = None
    """What has to be done before the judge looks for the first time."""

    def of(self, faults: Mapping[str, Fault]) -> dict[str, Fault]:
        """These faults, changed."""
        return self.without(faults) | dict(self.adds)

    def withdrawn(self, faults: Mapping[str, Fault]) -> dict[str, Fault]:
        """These faults without those that it adds."""
        return {name: fault for name, fault in faults.items() if name not in self.adds}

    def without(self, faults: Mapping[str, Fault]) -> dict[str, Fault]:
        """Those of these faults that can happen."""
        return {name: fault for name, fault in faults.items() if name not in self.takes}


Variant = Callable[[Harness], AbstractAsyncContextManager[Changes]]
"""Entered once the servers run and before gateways and workers start, whose settings and addresses it changes."""


POOLER_CONNECTIONS = 20
"""Fewer than three workers may want, so that they wait for one another in the pooler too."""


@asynccontextmanager
async def pooler(harness: Harness) -> AsyncIterator[Changes]:
    """PgBouncer in transaction mode: worker, pooler, wire, Postgres. It dies, freezes and is replaced too."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        behind = harness.worker_to_postgres.url(as_worker(harness.database_url))
        running = PgBouncer(Path(folder), behind, "transaction", servers=POOLER_CONNECTIONS)
        running.start()
        harness.worker_env = {
            **harness.worker_env, "DATABASE_URL": running.url(behind), "DATABASE_POOLER": "transaction",
        }  # fmt: skip
        try:
            yield Changes({
                "pooler killed": _pooler_killed(running),
                "pooler frozen": _pooler_frozen(running),
            })  # fmt: skip
        finally:
            running.child.kill()


def _pooler_killed(pooler: PgBouncer) -> Fault:
    @asynccontextmanager
    async def fault(_: Harness, __: random.Random) -> AsyncIterator[None]:
        pooler.child.kill()
        yield
        await pooler.restart()

    return fault


def _pooler_frozen(pooler: PgBouncer) -> Fault:
    @asynccontextmanager
    async def fault(_: Harness, __: random.Random) -> AsyncIterator[None]:
        pooler.child.pause()
        yield
        pooler.child.resume()

    return fault


@asynccontextmanager
async def sentinels(harness: Harness) -> AsyncIterator[Sentinels]:
    """Redis behind three sentinels, which programs ask."""
    with tempfile.TemporaryDirectory(prefix="sentinels-") as folder:
        async with running_sentinels(Path(folder)) as running:
            _use(harness, running.master, running.url())
            yield running


@asynccontextmanager
async def sentinel(harness: Harness) -> AsyncIterator[Changes]:
    """Its masters and its sentinels die, freeze and are replaced."""
    async with sentinels(harness) as running:
        adds = masters_die.faults(running) | {
            "sentinel killed": _sentinels_killed(running, 1),
            "sentinels killed": _sentinels_killed(running, 3),
        }
        yield Changes(adds, ONE_REDIS)


@asynccontextmanager
async def nodes(harness: Harness) -> AsyncIterator[RedisCluster]:
    """A cluster of three masters, each with a replica."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        async with running_cluster(Path(folder)) as running:
            _use(harness, running.master, running.url())
            yield running


@asynccontextmanager
async def cluster(harness: Harness) -> AsyncIterator[Changes]:
    """The master of a partition dies, freezes, is replaced, and gives its slot to another."""
    async with nodes(harness) as running:
        yield Changes(masters_die.faults(running) | {"master's slot moved": _slot_moved(running)}, ONE_REDIS)


def _slot_moved(running: RedisCluster) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
        await running.follow(rng.randrange(harness.partitions))
        await running.move_slot(rng.choice([each for each in await running.masters() if each is not running.master]))
        harness.valkey = running.master
        yield
        await masters_die.all_follow(harness, running)

    return fault


def _use(harness: Harness, master: ValkeyServer, url: str) -> None:
    """Let programs find Redis at this address, and answer once a write is on the replicas too."""
    harness.valkey, harness.redis_url = master, url
    harness.gateway_env = {**harness.gateway_env, **REPLICATED_ENV}


def _sentinels_killed(running: Sentinels, count: int) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        for each in running.sentinels[:count]:
            each.kill()
        yield
        for each in running.sentinels[:count]:
            await each.restart()
        await masters_die.all_follow(harness, running)

    return fault


ONE_REDIS = frozenset(
    name
    for name in FAULTS | FAILOVERS | ACTS
    if name.startswith(("redis ", "gateway to redis", "worker to redis", "operator: redis restored"))
)
"""Faults of one server that is reached over a wire."""


@asynccontextmanager
async def replica(harness: Harness) -> AsyncIterator[Changes]:
    """A replica that people read from, which is late, dies and freezes. Its primary is never replaced by another."""
    async with replicas.reading(harness) as (faults, broken):
        yield Changes(faults, frozenset({"postgres fails over", "operator: postgres restored"}), broken)


@asynccontextmanager
async def upgrade(harness: Harness) -> AsyncIterator[Changes]:
    """A rolling upgrade from the last release. Once it is finished, everything may happen that may happen today."""
    async with upgrades.upgrading(harness) as (faults, under_way):
        yield Changes(faults, finish=under_way.finish)


REDIS: dict[str, Variant] = {"sentinel": sentinel, "cluster": cluster}
"""By the value of `--redis`."""

REPLICATED: dict[str, Callable[[Harness], AbstractAsyncContextManager[Masters]]] = {
    "sentinel": sentinels,
    "cluster": nodes,
}
"""Those whose masters can be replaced, for failover_figures.py."""

POSTGRES: dict[str, Variant] = {"pooler": pooler, "replica": replica}
"""By the value of `--postgres`."""
