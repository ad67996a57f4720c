"""Redis behind three sentinels: one master and two replicas, as small as a failover can be had."""

import asyncio
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from stack.ports import HOST
from stack.valkey import embedded_binary
from tests.support.child import dying_with_parent
from tests.support.failover import replicate
from tests.support.servers import PROBE_TIMEOUT_S, REDIS_SERVER, Server, ValkeyServer
from tests.support.wait import until

MASTER = "payments-master"

DOWN_AFTER_S = 2.0
"""How long the master may be silent before a sentinel takes it for dead."""

QUORUM = 2

FAILED_OVER_S = 30.0
"""How long a failover may take on a busy machine; two seconds are usual."""

OF_A_REPLICA = {
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "repl-timeout": "10",
    "min-replicas-to-write": "0",
}


FailOver = Callable[[], Coroutine[None, None, None]]


class SentinelServer(Server):
    """A sentinel with a password of its own. It watches `master`."""

    def __init__(self, folder: Path, master: ValkeyServer, password: str) -> None:
        super().__init__("sentinel", folder, signal.SIGTERM)
        self.password = password
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
        return dying_with_parent([REDIS_SERVER or str(embedded_binary()), str(path), "--sentinel"])

    def _directives(self) -> list[str]:
        return [
            f"bind {HOST}",
            f"port {self.port}",
            f"dir {self._folder}",
            f"requirepass {self.password}",
            f"sentinel sentinel-pass {self.password}",
            f"sentinel monitor {MASTER} {HOST} {self._master.port} {QUORUM}",
            f"sentinel auth-pass {MASTER} {self._master.password}",
            f"sentinel down-after-milliseconds {MASTER} {round(DOWN_AFTER_S * 1000)}",
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


class Sentinels:
    """The servers and their sentinels. `master` is the one that the sentinels named last."""

    detects_after_s = DOWN_AFTER_S

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

    def url(self, name: str = MASTER) -> str:
        """The address that programs are given."""
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

    def kill(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()

    @property
    def failovers(self) -> dict[str, FailOver]:
        """The ways in which the master is replaced, and nothing that a worker applies is lost either."""
        return {"planned": self.planned, "killed": self.killed, "frozen": self.frozen}

    async def planned(self) -> None:
        """An operator asks a sentinel for it: the master gives way once a replica has everything."""
        await self.fail_over("COORDINATED")

    async def forced(self) -> None:
        """Another becomes the master, and the old one is not asked: for seconds it takes writes, which will be lost."""
        await self.fail_over()

    async def killed(self) -> None:
        """The old master is started again, as a master, and is demoted some seconds later."""
        self.master.kill()
        old = await self.another_master()
        await old.restart()

    async def frozen(self) -> None:
        """The old master wakes up and does not know that it was replaced."""
        old = self.master
        old.pause()
        await self.another_master()
        old.resume()

    async def fail_over(self, *how: str) -> None:
        """Ask the sentinels for a planned failover, and wait until it is over."""
        await self.sentinels[0].ask("FAILOVER", MASTER, *how)
        await self.another_master()

    async def another_master(self) -> ValkeyServer:
        """Wait until the sentinels name another master, which takes writes. Return the old one."""
        old = self.master
        await until(self._names_another, timeout_s=FAILED_OVER_S, what="the sentinels name another master")
        return old

    async def is_whole(self) -> bool:
        """Whether the master has all other servers as its replicas, in step, and the sentinels know it.

        On a busy machine the sentinels replace a master also by themselves.
        """
        try:
            await self._names_another()
            async with Redis.from_url(self.master.url, protocol=2) as redis:
                info = await redis.info("replication")
            replicas = [value for name, value in info.items() if name.startswith("slave") and isinstance(value, dict)]
            in_step = [replica for replica in replicas if replica["state"] == "online"]
            if len(in_step) < len(self.servers) - 1:
                return False
            return all([await self._knows_all(each) for each in self.sentinels if each.child.is_running])
        except (RedisError, OSError):
            return False

    async def _names_another(self) -> bool:
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
