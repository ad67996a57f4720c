"""A client of Redis Cluster: each command goes to the node of its partition, which is in the hash tag of its keys.

It does no more: a node that moved answers MOVED or ASK, its connection is closed, and the next one asks again where the
partition lives. Commands without a key go to the node of partition 0.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import ConnectionPool

_TAG = re.compile(rb"[A-Za-z0-9_.-]{1,64}:\{([0-9]{1,3})\}:")

_OF_EVERY_NODE = ("SCRIPT LOAD",)
"""Commands after which each node has to know the same."""


class ClusterClient(Redis):
    """A client of partition 0 that has a client for each other partition which it was asked for."""

    def __init__(self, pool_of: Callable[[int], ConnectionPool]) -> None:
        super().__init__(connection_pool=pool_of(0))
        self.auto_close_connection_pool = True
        self._pool_of = pool_of
        self._others: dict[int, Redis] = {}
        self._to_all = asyncio.Lock()
        """One command at a time goes to all nodes: the connections to each are few."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        """Run one command on the node of its keys."""
        if args[0] in _OF_EVERY_NODE:
            async with self._to_all:
                for each in list(self._others.values()):  # others are added meanwhile
                    await each.execute_command(*args, **options)  # type: ignore[no-untyped-call]
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if other := self._other(args):
            return await other.execute_command(*args, **options)  # type: ignore[no-untyped-call]
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "ClusterPipeline":
        """Return a pipeline whose commands are all of one partition."""
        return ClusterPipeline(self, transaction, shard_hint)

    def pool_for(self, args: tuple[Any, ...]) -> ConnectionPool:
        """Return the connections to the node of a command's keys."""
        other = self._other(args)
        return other.connection_pool if other else self.connection_pool

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connections to all nodes."""
        for other in list(self._others.values()):
            await other.aclose()
        await super().aclose(close_connection_pool)

    def _other(self, args: tuple[Any, ...]) -> Redis | None:
        """Return the client of the command's partition, None for partition 0."""
        partition = partition_of_command(args)
        if not partition:
            return None
        if partition not in self._others:
            other = self._others[partition] = Redis.from_pool(self._pool_of(partition))
            other.response_callbacks = self.response_callbacks
        return self._others[partition]


class ClusterPipeline(Pipeline):
    """Commands that are all of the first one's partition."""

    def __init__(self, client: ClusterClient, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run the commands on the node of their keys."""
        if self.command_stack:
            self.connection_pool = self._client.pool_for(tuple(self.command_stack[0][0]))
        return await super().execute(raise_on_error)


def partition_of_command(args: tuple[Any, ...]) -> int | None:
    """Return the partition in the hash tag of the first key; keys come before values. None without one."""
    for arg in args[1:]:
        text = arg.encode() if isinstance(arg, str) else arg
        if isinstance(text, bytes) and (tag := _TAG.match(text)):
            return int(tag[1])
    return None
