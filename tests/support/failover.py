"""Two servers behind one address: the address moves, and the old server and the connections to it live on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from stack.ports import HOST
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

HEALED_S = 5.0
"""How long after the address's move work may stand still."""


@dataclass(frozen=True, slots=True)
class MovingRedis:
    """Redis' address, which leads to `old` until `move`."""

    old: ValkeyServer
    new: ValkeyServer
    address: TcpProxy

    @property
    def url(self) -> str:
        return self.address.url(self.old.url)

    async def move(self, *, old_becomes_replica: bool) -> None:
        """Promote the new server, and let new connections lead to it."""
        async with Redis.from_url(self.new.url, protocol=2) as redis:
            await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        if old_becomes_replica:
            await replicate(self.old, self.new)
        self.address.target_port = self.new.port


@asynccontextmanager
async def moving_redis(old: ValkeyServer, folder: Path) -> AsyncIterator[MovingRedis]:
    """Start a second server with the same password, as a replica of the first."""
    new = ValkeyServer(folder / "new", password=old.password)
    new.start()
    try:
        await replicate(new, old)
        async with TcpProxy(old.port) as address:
            yield MovingRedis(old, new, address)
    finally:
        new.kill()


async def replicate(replica: ValkeyServer, primary: ValkeyServer) -> None:
    """Make a server the replica of another, and wait until it has its data. Each may become the other's replica."""
    async with Redis.from_url(primary.url, protocol=2) as redis:
        await redis.config_set("masterauth", replica.password)
    async with Redis.from_url(replica.url, protocol=2) as redis:
        await redis.config_set("masterauth", primary.password)
        await redis.execute_command("REPLICAOF", HOST, str(primary.port))  # type: ignore[no-untyped-call]

        async def is_in_sync() -> bool:
            return bool((await redis.info("replication"))["master_link_status"] == "up")

        await until(is_in_sync, what="the replica is in sync")
