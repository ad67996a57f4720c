"""What every benchmark runs on: Valkey and PostgreSQL as durable as production's, our programs, and the load."""

import io
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from contract.keys import Keys
from tests.benchmarks.load import Load, load
from tests.support.child import Child
from tests.support.database import make_template
from tests.support.processes import Gateway, Programs
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import until

PREFIX = "bench"
KEYS = Keys(PREFIX)

DURABLE = {"fsync": "on", "synchronous_commit": "on"}
"""As by default, but said: nothing here is faster than it may be in production. Valkey has appendfsync always."""

DRAIN_TIMEOUT_S = 120.0
"""How long workers may take with what a benchmark gave them."""

_CPU_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how often: one side is measured for about `seconds`, `rounds` times.

    `events` is for `memory`, `capacity` and `scale`, `rows` and `folder` for `pages` and `scale`, what follows for
    `scale`: `days` and `hot_days` shape its history, `checkpoint_events` its turns.
    `beside` is a checkout whose gateway is measured in turns with ours, and `connections` limits the numbers of
    connections; both are for `gateway` and `instructions`.
    """

    seconds: float
    rounds: int
    events: int
    beside: Path | None = None
    connections: tuple[int, ...] = ()
    rows: int = 10_000_000
    folder: Path | None = None
    ids: str = "random"
    is_cold: bool = False
    days: int = 365
    hot_days: int = 365
    checkpoint_events: int = 80_000
    is_curve: bool = False


@dataclass(frozen=True, slots=True)
class Harness:
    """Real servers, and ways to start our programs on them."""

    valkey: ValkeyServer
    postgres: PostgresServer
    programs: Programs
    redis: Redis
    load: Load

    async def gateway(self, env: Mapping[str, str] | None = None) -> Gateway:
        """One gateway process with its ordinary settings."""
        return await self.programs.gateway(self.valkey.url, PREFIX, env)

    async def workers(self, database_url: str, n: int = 1, env: Mapping[str, str] | None = None) -> list[Child]:
        """`n` workers with their ordinary settings."""
        return await self.programs.consumers(self.valkey.url, database_url, PREFIX, n, env)

    async def backlog(self) -> int:
        """Entries that are not committed and acknowledged."""
        return int(await self.redis.xlen(KEYS.events))

    async def drained(self, left_max: int = 0, *, timeout_s: float = DRAIN_TIMEOUT_S) -> None:
        """Waits until the workers have left no more than this."""

        async def is_drained() -> bool:
            return await self.backlog() <= left_max

        await until(is_drained, timeout_s=timeout_s, what=f"the backlog is down to {left_max}")


@asynccontextmanager
async def harness(postgres_options: Mapping[str, str] | None = None) -> AsyncIterator[Harness]:
    """Everything started, and ended with the block. What the programs wrote is shown only where something failed."""
    output = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        valkey = ValkeyServer(folder / "valkey")
        postgres = PostgresServer(folder / "postgres", DURABLE | dict(postgres_options or {}))
        try:
            with redirect_stdout(output), Programs(folder / "programs") as programs:
                valkey.start()
                postgres.start()
                await make_template(postgres)
                async with load() as loading, Redis.from_url(valkey.url, protocol=2) as redis:
                    yield Harness(valkey, postgres, programs, redis, loading)
        except BaseException:
            sys.stderr.write(output.getvalue())
            raise
        finally:
            postgres.kill()
            valkey.kill()


def cpu_s(pid: int) -> float:
    """The processor time that a process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CPU_TICKS_PER_S


def family_cpu_s(child: Child) -> float:
    """The processor time of a process and of all it has started, also of those that have ended."""
    running_s = 0.0
    for pid in child.children:
        with suppress(FileNotFoundError):  # it has ended since, and counts among those
            running_s += cpu_s(pid)
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return running_s + sum(map(int, fields[11:15])) / _CPU_TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """The memory a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
