"""Redis Cluster on loopback: three masters, each with replicas. The master of our partition dies, freezes and moves."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from runtime.redis_masters import slot_of
from stack.ports import HOST, free_port
from tests.support.masters import (
    DETECTED,
    DETECTS_AFTER_S,
    FAILED_OVER_S,
    LOOKED_AT_EACH_S,
    NAMED,
    OF_A_REPLICA,
    Masters,
    Moments,
    note_replica,
    watching,
)
from tests.support.servers import PROBE_TIMEOUT_S, ValkeyServer
from tests.support.wait import until

MASTERS = 3
SLOTS = 16_384


class RedisCluster(Masters):
    """All nodes. `master` is the one that had `slot` when it was last looked for."""

    def __init__(self, folder: Path, replicas_each: int = 1, partition: int = 0) -> None:
        password = secrets.token_hex(8)
        self._partition, self.slot = partition, slot_of(partition)
        self.servers = [
            ValkeyServer(folder / f"node-{number}", _options(folder, number, password), password=password)
            for number in range(MASTERS * (1 + replicas_each))
        ]
        self.replicas_each = replicas_each
        self.master = self.servers[0]

    @override
    def url(self) -> str:
        """The address of three of the nodes."""
        where = ",".join(f"{HOST}:{server.port}" for server in self.servers[:MASTERS])
        return f"redis+cluster://:{self.master.password}@{where}"

    async def start(self) -> None:
        """Start all nodes and share the slots among the first three."""
        for server in self.servers:
            server.start()
        first, *others = self.servers
        for number, server in enumerate(self.servers[:MASTERS]):
            await ask(server, "CLUSTER", "ADDSLOTSRANGE", *map(str, slots_of(number)))
            await ask(server, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for server in others:
            await ask(server, "CLUSTER", "MEET", HOST, str(first.port), str(bus_port(first)))
        await until(self._all_know_all, what="all nodes know each other")
        for number, server in enumerate(self.servers[MASTERS:]):
            await ask(server, "CLUSTER", "REPLICATE", await node_id(self.servers[number % MASTERS]))
        self.master = await self._owner() or self.master
        await until(self.is_whole, what="the cluster is whole")

    @override
    async def planned(self) -> None:
        """A replica asks its master for it, which pauses until the replica has everything."""
        (replica, *_) = await self.replicas()
        await ask(replica, "CLUSTER", "FAILOVER")
        await self.another_master()

    async def move_slot(self, target: ValkeyServer) -> None:
        """Move the partition's slot to another master, key by key, as tools do it."""
        source, slot = self.master, str(self.slot)
        source_id, target_id = await node_id(source), await node_id(target)
        await ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        await ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := await ask(source, "CLUSTER", "GETKEYSINSLOT", slot, "10"):
            await ask(
                source, "MIGRATE", HOST, str(target.port), "", "0", "5000", "AUTH", source.password, "KEYS", *keys
            )
        for server in (target, source, *self.servers):
            if server.child.is_running and await _role(server) == "master":
                await ask(server, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        await self.another_master()

    async def masters(self) -> list[ValkeyServer]:
        """The nodes that have slots."""
        return [server for server in self.servers if server.child.is_running and await _role(server) == "master"]

    async def replicas(self) -> list[ValkeyServer]:
        """The replicas of the master."""
        async with _client(self.master) as redis:
            info = await redis.info("replication")
        ports = {each["port"] for name, each in info.items() if name.startswith("slave") and isinstance(each, dict)}
        return [server for server in self.servers if server.port in ports]

    @property
    @override
    def shards(self) -> Sequence[str]:
        return [f"slots {first}-{last}" for first, last in map(slots_of, range(MASTERS))]

    @override
    def partitions_of(self, shard: str, partitions: int) -> frozenset[int]:
        first, last = slots_of(self.shards.index(shard))
        return frozenset(number for number in range(partitions) if first <= slot_of(number) <= last)

    @override
    async def follow(self, partition: int) -> None:
        self._partition, self.slot = partition, slot_of(partition)
        self.master = await self._owner() or self.master

    @asynccontextmanager
    @override
    async def watched(self) -> AsyncIterator[Moments]:
        moments = Moments()
        old, masters = await node_id(self.master), await self.masters()
        agreed: set[int] = set()

        async def note(server: ValkeyServer, redis: Redis) -> None:
            async def is_named() -> bool:
                nodes = _text(await redis.execute_command("CLUSTER NODES")).splitlines()  # type: ignore[no-untyped-call]
                (flags,) = [line.split()[2].split(",") for line in nodes if line.startswith(old)]
                if "fail" in flags and server in masters:
                    agreed.add(server.port)
                if len(agreed) > MASTERS // 2:
                    moments.reached(DETECTED)
                if self._has_slot(nodes):
                    moments.reached(NAMED)
                    await note_replica(moments, server, self._partition)
                return NAMED in moments.at_s

            await until(is_named, timeout_s=FAILED_OVER_S, poll_s=LOOKED_AT_EACH_S, what="there is another master")

        async with AsyncExitStack() as stack:
            others = [each for each in self.servers if each is not self.master]
            clients = [await stack.enter_async_context(_client(each)) for each in others]
            for redis in clients:
                redis.response_callbacks.clear()
            await stack.enter_async_context(watching(*map(note, others, clients)))
            yield moments

    @override
    async def is_whole(self) -> bool:
        """Whether each master has its replicas in step, and every node sees a cluster that is well."""
        try:
            self.master = await self._owner() or self.master
            if len(await self.replicas()) < self.replicas_each:
                return False
            for server in self.servers:
                nodes = await nodes_of(server)
                if len(nodes) != len(self.servers) or any("fail" in line or "disconnected" in line for line in nodes):
                    return False
                if "cluster_state:ok" not in _text(await ask(server, "CLUSTER", "INFO")):
                    return False
                async with _client(server) as redis:
                    if (await redis.info("replication")).get("master_link_status", "up") != "up":
                        return False
        except (RedisError, OSError):
            return False
        return True

    @override
    async def names_another(self) -> bool:
        owner = await self._owner()
        if owner is None or owner is self.master:
            return False
        self.master = owner
        return True

    async def _owner(self) -> ValkeyServer | None:
        """The node that has the slot by its own account, in the newest configuration."""
        found: list[tuple[int, ValkeyServer]] = []
        for server in self.servers:
            if server.child.is_paused:  # waiting for its answer would let it sleep for longer
                continue
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    nodes = await nodes_of(server)
            except (RedisError, OSError):
                continue
            if self._has_slot(nodes):
                found.append((int(_myself(nodes)[6]), server))
        return max(found, key=lambda each: each[0])[1] if found else None

    def _has_slot(self, nodes: Sequence[str]) -> bool:
        return any(_covers(each, self.slot) for each in _myself(nodes)[8:])

    async def _all_know_all(self) -> bool:
        return all([len(await nodes_of(server)) == len(self.servers) for server in self.servers])


def _options(folder: Path, number: int, password: str) -> dict[str, str]:
    (folder / f"node-{number}").mkdir(parents=True, exist_ok=True)
    return OF_A_REPLICA | {
        "masterauth": password,
        "cluster-enabled": "yes",
        "cluster-config-file": str(folder / f"node-{number}" / "nodes.conf"),
        "cluster-node-timeout": str(round(DETECTS_AFTER_S * 1000)),
        "cluster-port": str(free_port()),
        "cluster-require-full-coverage": "no",
    }


def slots_of(number: int) -> tuple[int, int]:
    """The first and the last slot of a master, as they are shared at the start."""
    return number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1


def bus_port(server: ValkeyServer) -> int:
    """The port by which the node speaks to others."""
    return int(server.options["cluster-port"])


def _client(server: ValkeyServer) -> Redis:
    return Redis.from_url(server.url, protocol=2)


async def ask(server: ValkeyServer, *command: str | bytes) -> Any:
    """The reply of one node."""
    async with _client(server) as redis:
        redis.response_callbacks.clear()
        return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def nodes_of(server: ValkeyServer) -> list[str]:
    """The lines of CLUSTER NODES."""
    return _text(await ask(server, "CLUSTER", "NODES")).splitlines()


async def node_id(server: ValkeyServer) -> str:
    """The name of the node in its cluster."""
    return _text(await ask(server, "CLUSTER", "MYID"))


async def _role(server: ValkeyServer) -> str:
    async with _client(server) as redis:
        return str((await redis.info("replication"))["role"])


def _myself(nodes: Sequence[str]) -> list[str]:
    return next(line.split() for line in nodes if "myself" in line)


def _covers(slots: str, slot: int) -> bool:
    if slots.startswith("["):
        return False
    first, _, last = slots.partition("-")
    return int(first) <= slot <= int(last or first)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@asynccontextmanager
async def running_cluster(folder: Path, replicas_each: int = 1, partition: int = 0) -> AsyncIterator[RedisCluster]:
    """Start all nodes; kill them in the end."""
    cluster = RedisCluster(folder, replicas_each, partition)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.kill()
