"""Redis behind three sentinels: one master and two replicas, as small as a failover can be had."""

import asyncio
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from typing_extensions import override

from stack.ports import HOST
from stack.valkey import embedded_binary
from tests.support.child import dying_with_parent
from tests.support.failover import replicate
from tests.support.masters import (
    DETECTED,
    DETECTS_AFTER_S,
    NAMED,
    OF_A_REPLICA,
    Masters,
    Moments,
    note_replica,
    watching,
)
from tests.support.servers import PROBE_TIMEOUT_S, REDIS_SERVER, Server, ValkeyServer
from tests.support.wait import until

MASTER = "payments-master"

QUORUM = 2

EVENTS = {"+odown": DETECTED, "+switch-master": NAMED}
"""What sentinels publish when they agree that a master is dead, and when there is another one."""


class SentinelServer(Server):
    """A sentinel with a password of its own. It watches `master`."""

    def __init__(self, folder: Path, master: ValkeyServer, password: str) -> None:
        super().__init__("sentinel", folder, signal.SIGTERM)
        self.password = password
        self.binary = Path(REDIS_SERVER) if REDIS_SERVER else embedded_binary()
        self.where = HOST
        self.options = {"port": str(self.port)}
        self._folder = folder
        self._master = master

    @property
    def data_dir(self) -> Path:
        return self._folder

    def argv(self) -> list[str]:
        """The sentinel rewrites its configuration, so that it is written once."""
        path = self._folder / "sentinel.conf"
        if not path.exists():
            path.write_text("\n".join(self._directives()) + "\n")
        return dying_with_parent([str(self.binary), str(path), "--sentinel"])

    def _directives(self) -> list[str]:
        return [
            f"bind {HOST}",
            *(f"{name} {value}" for name, value in self.options.items()),
            f"dir {self._folder}",
            f"requirepass {self.password}",
            f"sentinel sentinel-pass {self.password}",
            f"sentinel monitor {MASTER} {self.where} {self._master.port} {QUORUM}",
            f"sentinel auth-pass {MASTER} {self._master.password}",
            f"sentinel down-after-milliseconds {MASTER} {round(DETECTS_AFTER_S * 1000)}",
            f"sentinel failover-timeout {MASTER} 3000",
            f"sentinel parallel-syncs {MASTER} 2",
        ]

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), PROBE_TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            lines = connection.makefile("rb")
            return lines.readline() == b"+OK\r\n" and lines.readline() == b"+PONG\r\n"

    async def ask(self, *question: str) -> Any:
        """The reply to a command of SENTINEL."""
        async with Redis(host=HOST, port=self.port, password=self.password, protocol=2) as redis:
            return await redis.execute_command("SENTINEL", *question)  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def events(self) -> AsyncIterator[PubSub]:
        """What it publishes about a replacement."""
        async with Redis(host=HOST, port=self.port, password=self.password, protocol=2) as redis, redis.pubsub() as sub:
            await sub.subscribe(*EVENTS)
            yield sub


class Sentinels(Masters):
    """The servers and their sentinels."""

    def __init__(self, folder: Path, replicas: int = 2) -> None:
        password = secrets.token_hex(8)
        options = OF_A_REPLICA | {"masterauth": password}
        self.servers = [
            ValkeyServer(folder / f"server-{number}", options, password=password) for number in range(1 + replicas)
        ]
        self.master = self.servers[0]
        sentinels_password = secrets.token_hex(8)
        self.sentinels = [
            SentinelServer(folder / f"sentinel-{number}", self.master, sentinels_password) for number in range(3)
        ]

    @override
    def url(self, name: str = MASTER) -> str:
        where = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        password = self.sentinels[0].password
        return f"redis+sentinel://:{self.master.password}@{where}/{name}/0?sentinel_password={password}"

    async def start(self) -> None:
        """Start all, and wait until each sentinel knows the others and the replicas."""
        for server in self.servers:
            server.start()
        for replica in self.servers[1:]:
            await replicate(replica, self.master)
        for sentinel in self.sentinels:
            sentinel.start()
        await until(self.is_whole, what="each sentinel knows the others and the replicas")

    @override
    def kill(self) -> None:
        for sentinel in self.sentinels:
            sentinel.kill()
        super().kill()

    @override
    async def planned(self) -> None:
        """An operator asks a sentinel for it."""
        await self.fail_over("COORDINATED")

    @override
    async def follow(self, partition: int) -> None:
        """The only master has all of them."""

    async def forced(self) -> None:
        """Another becomes the master, and the old one is not asked: for seconds it takes writes, which will be lost."""
        await self.fail_over()

    async def fail_over(self, *how: str) -> None:
        """Ask the sentinels for a planned failover, and wait until it is over."""
        await self.sentinels[0].ask("FAILOVER", MASTER, *how)
        await self.another_master()

    async def fact(self, name: str) -> str:
        """What the first sentinel says about the master."""
        return _fields(await self.sentinels[0].ask("MASTER", MASTER))[name]

    @asynccontextmanager
    @override
    async def watched(self) -> AsyncIterator[Moments]:
        moments = Moments()
        async with AsyncExitStack() as stack:
            subscribed = [await stack.enter_async_context(each.events()) for each in self.sentinels]
            await stack.enter_async_context(watching(*(self._note_events(each, moments) for each in subscribed)))
            yield moments

    async def _note_events(self, events: PubSub, moments: Moments) -> None:
        async for event in events.listen():
            if event["type"] != "message":
                continue
            step = EVENTS[_text(event["channel"])]
            moments.reached(step)
            if step == NAMED:
                port = int(_text(event["data"]).split()[-1])
                await note_replica(moments, next(server for server in self.servers if server.port == port))
                return

    @override
    async def is_whole(self) -> bool:
        """Whether the master has all other servers as its replicas, in step, and the sentinels know it.

        On a busy machine the sentinels replace a master also by themselves.
        """
        try:
            await self.names_another()
            async with Redis.from_url(self.master.url, protocol=2) as redis:
                info = await redis.info("replication")
            replicas = [value for name, value in info.items() if name.startswith("slave") and isinstance(value, dict)]
            in_step = [replica for replica in replicas if replica["state"] == "online"]
            if len(in_step) < len(self.servers) - 1:
                return False
            return all([await self._knows_all(each) for each in self.sentinels if each.child.is_running])
        except (RedisError, OSError):
            return False

    @override
    async def names_another(self) -> bool:
        for sentinel in self.sentinels:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    _, port = await sentinel.ask("GET-MASTER-ADDR-BY-NAME", MASTER)
            except (RedisError, OSError):
                continue
            if int(port) != self.master.port:
                self.master = next(server for server in self.servers if server.port == int(port))
                return True
        return False

    async def _knows_all(self, sentinel: SentinelServer) -> bool:
        """Whether a sentinel sees the others, and every replica as one that may be promoted."""
        others = await sentinel.ask("SENTINELS", MASTER)
        replicas = [_fields(each) for each in await sentinel.ask("REPLICAS", MASTER)]
        fine = [
            replica
            for replica in replicas
            if replica["flags"] == "slave"
            and replica["master-link-status"] == "ok"
            and replica["master-port"] == str(self.master.port)
        ]
        master = _fields(await sentinel.ask("MASTER", MASTER))
        return (
            len(others) == len(self.sentinels) - 1
            and len(fine) == len(self.servers) - 1
            and master["flags"] == "master"
            and master["port"] == str(self.master.port)
        )


def _fields(reply: Any) -> dict[str, str]:
    if isinstance(reply, dict):
        return {_text(name): _text(value) for name, value in reply.items()}
    return dict(zip(map(_text, reply[::2]), map(_text, reply[1::2]), strict=True))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@asynccontextmanager
async def running_sentinels(folder: Path, replicas: int = 2) -> AsyncIterator[Sentinels]:
    """Start all of them; kill them in the end."""
    cluster = Sentinels(folder, replicas)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.kill()
