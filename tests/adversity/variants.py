"""Other systems than one Redis and one Postgres, before the same judge: `make prove POSTGRES=pooler`, and so on.

A new one is a function `(Harness) -> context manager` and an entry in REDIS or POSTGRES.
"""

import random
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.adversity.faults import Fault
from tests.support.database import as_worker
from tests.support.harness import Harness
from tests.support.pgbouncer import PgBouncer

ONE = "one"
"""One server, which programs reach without anything between."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a variant does to the faults: it adds some, and takes away what cannot happen to it."""

    adds: Mapping[str, Fault] = field(default_factory=dict)
    takes: frozenset[str] = frozenset()

    def of(self, faults: Mapping[str, Fault]) -> dict[str, Fault]:
        """These faults, changed."""
        return self.without(faults) | dict(self.adds)

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


REDIS: dict[str, Variant] = {}
"""By the value of `--redis`."""

POSTGRES: dict[str, Variant] = {"pooler": pooler}
"""By the value of `--postgres`."""
