"""Redis servers of which one is the master. It dies, freezes or gives way, and another takes its place."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from runtime.durability import ASKED_AGAIN_MS
from tests.support.servers import ValkeyServer
from tests.support.wait import until

DETECTS_AFTER_S = 2.0
"""How long a master may be silent before others take it for dead."""

FAILED_OVER_S = 30.0
"""How long a failover may take on a busy machine; two seconds are usual."""

LOOKED_AT_EACH_S = 0.02
"""How often the servers are asked how far a replacement is."""

OF_A_REPLICA = {
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "repl-timeout": "10",
    "min-replicas-to-write": "0",
}

CONFIRMS_WITHIN_MS = 1000
"""How long a replica may take to have what a test asks for."""

FailOver = Callable[[], Coroutine[None, None, None]]


@dataclass
class Moments:
    """When a replacement reached each step, by the monotonic clock; a step that was not seen is absent."""

    at_s: dict[str, float] = field(default_factory=dict)

    def reached(self, step: str) -> None:
        """Note the first time."""
        self.at_s.setdefault(step, time.monotonic())


DETECTED, NAMED, REPLICATED = "detected", "named", "replicated"
"""Enough of the others agree that the master is dead; there is another one; and a replica of that one writes."""


class Masters(ABC):
    """`master` is the one that the others named last."""

    servers: list[ValkeyServer]
    master: ValkeyServer

    @abstractmethod
    def url(self) -> str:
        """The address that programs are given."""

    def kill(self) -> None:
        """End all servers."""
        for server in self.servers:
            server.kill()

    @property
    def failovers(self) -> Mapping[str, FailOver]:
        """The ways in which the master is replaced, and nothing that a worker applies is lost either.

        Each returns once it is, and the old one is back.
        """
        return {"planned": self.planned, "killed": self.killed, "frozen": self.frozen}

    @abstractmethod
    async def planned(self) -> None:
        """Let the master give way, once a replica has everything."""

    async def killed(self) -> None:
        """Kill it. It is started again once it was replaced, and becomes a replica."""
        self.master.kill()
        old = await self.another_master()
        await old.restart()

    async def frozen(self) -> None:
        """Freeze it. It wakes up once it was replaced, and does not know that."""
        old = self.master
        old.pause()
        await self.another_master()
        old.resume()

    async def another_master(self) -> ValkeyServer:
        """Wait until there is another master. Return the old one."""
        old = self.master
        await until(self.names_another, timeout_s=FAILED_OVER_S, what="there is another master")
        return old

    @abstractmethod
    async def names_another(self) -> bool:
        """Whether there is another master than the last time; `master` is that one then."""

    @abstractmethod
    async def is_whole(self) -> bool:
        """Whether all servers follow the master, so that it may be replaced again."""

    @abstractmethod
    def watched(self) -> AbstractAsyncContextManager[Moments]:
        """Watch the next replacement, until its last step was seen or the block ends."""

    @abstractmethod
    async def follow(self, partition: int) -> None:
        """Let `master` be the one that has this partition."""

    @property
    def shards(self) -> Sequence[str]:
        """The names of the masters, each with partitions of its own."""
        return ["master"]

    def partitions_of(self, shard: str, partitions: int) -> frozenset[int]:
        """Which of the partitions the master of this name has, as long as nobody moves slots."""
        assert shard in self.shards
        return frozenset(range(partitions))


@asynccontextmanager
async def watching(*watchers: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let them run while the block does."""
    tasks = [asyncio.create_task(watcher) for watcher in watchers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def note_replica(moments: Moments, master: ValkeyServer, partition: int = 0) -> None:
    """Note when a replica of the new master has a write on its disk: before that nothing may be confirmed."""

    async def confirms() -> bool:
        try:
            async with Redis.from_url(master.url, protocol=2) as redis, redis.client() as connection:
                await connection.set(f"written:{{{partition}}}", 1)
                await connection.wait(1, CONFIRMS_WITHIN_MS)
                local, replicas = await connection.execute_command("WAITAOF", 1, 1, ASKED_AGAIN_MS)  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            return False
        return bool(local and replicas)

    await until(confirms, timeout_s=FAILED_OVER_S, poll_s=LOOKED_AT_EACH_S, what="the new master has a replica")
    moments.reached(REPLICATED)
