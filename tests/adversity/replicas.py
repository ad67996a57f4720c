"""People read from a replica while everything breaks: what a page shows without a note is all that was committed."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from operations.reader import Reader
from operations.servers import Servers
from operations.settings import Settings
from sql.connect import UnreachableError, connect
from tests.adversity.faults import Fault
from tests.support.database import as_worker
from tests.support.harness import CONNECT_TIMEOUT_S, Harness
from tests.support.proxy import TcpProxy
from tests.support.replica import base_backup
from tests.support.servers import PostgresServer

LOOK_EVERY_S = 0.2

NEWEST = "SELECT entry_id FROM events ORDER BY committed_at DESC LIMIT 1"
HAS = "SELECT EXISTS (SELECT FROM events WHERE entry_id = $1)"


class Readers:
    """Somebody who looks at what was just committed, again and again. `broken` has what was missing."""

    def __init__(self, harness: Harness, replica: PostgresServer) -> None:
        self._harness = harness
        self._replica_url = as_worker(replica.url)
        self.broken: list[str] = []
        self.stop = asyncio.Event()
        self.looked = self.from_replica = self.noted = 0

    async def run(self) -> None:
        """Look until `stop` is set."""
        servers = Servers(self._settings())
        while not self.stop.is_set():
            with suppress(UnreachableError):
                await self._look(servers)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), LOOK_EVERY_S)

    async def _look(self, servers: Servers) -> None:
        async with servers.postgres() as primary:
            entry_id = await primary.fetchval(NEWEST)
        reader = Reader(servers, complete=self.looked % 2 == 0)
        async with reader.postgres() as connection:
            is_replica = await connection.fetchval("SELECT pg_is_in_recovery()")
            found = entry_id is None or await connection.fetchval(HAS, entry_id)
        self.looked += 1
        self.from_replica += is_replica
        self.noted += bool(reader.notes)
        if not found and not reader.notes:
            self.broken.append(f"a reader without a note missed entry {entry_id}")

    def _settings(self) -> Settings:
        return Settings.model_validate({
            "redis_url": self._harness.all_redis_url,
            "database_url": as_worker(self._harness.database_url),
            "database_read_url": self._replica_url,
        })  # fmt: skip


@asynccontextmanager
async def reading(harness: Harness) -> AsyncIterator[tuple[dict[str, Fault], list[str]]]:
    """A replica and who reads there; gives what can happen to it, and what went wrong."""
    async with TcpProxy(harness.postgres.port) as wire:
        folder = harness.programs.folder / "replica"
        # In a thread: the wire needs this event loop.
        replica = await asyncio.to_thread(base_backup, harness.postgres, folder, port=wire.port)
        await replica.restart()
        readers = Readers(harness, replica)
        task = asyncio.create_task(readers.run())
        try:
            yield _faults(replica, wire), readers.broken
        finally:
            readers.stop.set()
            await asyncio.wait([task])
            replica.kill()
            print(f"{readers.looked} reads, {readers.from_replica} from the replica, {readers.noted} with a note.")
        task.result()
        assert readers.from_replica, "nobody read from the replica"


def _faults(replica: PostgresServer, wire: TcpProxy) -> dict[str, Fault]:
    @asynccontextmanager
    async def late(_: Harness, __: random.Random) -> AsyncIterator[None]:
        async with connect(replica.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            await connection.execute("SELECT pg_wal_replay_pause()")
            yield
            await connection.execute("SELECT pg_wal_replay_resume()")

    @asynccontextmanager
    async def killed(_: Harness, __: random.Random) -> AsyncIterator[None]:
        replica.kill()
        yield
        await replica.restart()

    @asynccontextmanager
    async def frozen(_: Harness, __: random.Random) -> AsyncIterator[None]:
        replica.pause()
        yield
        replica.resume()

    @asynccontextmanager
    async def stalled(_: Harness, __: random.Random) -> AsyncIterator[None]:
        wire.stall()
        yield
        wire.resume()

    return {"replica late": late, "replica killed": killed, "replica frozen": frozen, "replica: stalled": stalled}
