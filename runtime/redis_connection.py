"""How every program reaches Redis: time limits are explicit, replies are bytes, and nothing is retried unseen."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from runtime.addresses import LivingServers, Server
from runtime.redis_address import read_address
from runtime.redis_cluster import ClusterClient
from runtime.redis_masters import ANSWERS_WITHIN_S, ClusterMaster, SentinelMaster
from runtime.redis_places import FixedServer, Place
from runtime.redis_wire import Command, OwnConnection, Reply, describe_reply, exchange

POOL_CONNECTIONS_MAX = 4
"""Connections of one client; a worker uses one or two at a time."""

CONNECTS_WITHIN_S = 0.25
"""Where connecting took longer, it is asked again whether the server is still the right one."""

PLACES_MAX = 512
"""Addresses, and partitions of a cluster, whose server is remembered: more than one program has."""

_LIVING = LivingServers()


class _PlacedConnection(OwnConnection, Connection):
    """A connection to wherever the server lives, which is asked before each connect."""

    def __init__(self, *, place: Place, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._place = place
        self._server: Server | None = None
        """What this connection leads to, once it may be used."""

    async def connect_check_health(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Connect to the server that takes our writes now. Raises RedisError."""
        if self.is_connected:
            return
        address, self._server, self.target = "", None, None
        try:
            server = self.host, self.port = self.target = await self._place.find()
            address = f"{self.host}:{self.port}"
            began_s = time.monotonic()
            await super().connect_check_health(*args, **options)
            if self._place.moves:
                await self._verify(address, time.monotonic() - began_s)
            self._server = server
        except (TimeoutError, RedisTimeoutError, asyncio.CancelledError):
            self._place.fell_silent()
            raise
        except OSError as error:
            raise RedisConnectionError(f"connecting to {address or 'Redis'}: {error}") from error

    async def send_packed_command(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Write packed commands, after leaving a server that was replaced: another connection has found the new one."""
        if self.is_connected and self._server is not None and self._place.replaced(self._server):
            await self.disconnect(nowait=True)
        await super().send_packed_command(*args, **options)

    async def require(self) -> None:
        """Raise RedisError unless this connection's server takes our writes still."""
        await self._place.require(self.target)

    async def _verify(self, address: str, took_s: float) -> None:
        """Leave a server that is not the master at once: who named it may be behind. Raises RedisError."""
        try:
            (reply,) = await exchange(self, [("INFO", "replication")])
            _require_master(address, reply)
            if took_s > CONNECTS_WITHIN_S:  # it may have been replaced while it was silent
                await self._place.find()
        except BaseException:
            await self.disconnect(nowait=True)
            raise


def _require_master(address: str, reply: Reply) -> None:
    if not isinstance(reply, bytes):
        raise RedisConnectionError(f"{address} does not say whether it is Redis' master: {describe_reply(reply)}")
    if b"role:master" not in reply:
        raise RedisConnectionError(f"{address} was named as the master of Redis, and is a replica")


class _TcpConnection(_PlacedConnection):
    pass


class _TlsConnection(_PlacedConnection, SSLConnection):
    pass


class _UnixConnection(OwnConnection, UnixDomainSocketConnection):
    pass


_OWN_CLASSES: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _TcpConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _UnixConnection,
}


def client(
    url: SecretStr, *, timeout_s: float, name: str, blocks_ms: int = 0, connections_max: int = POOL_CONNECTIONS_MAX
) -> Redis:
    """Return a client that connects when it is first used.

    `timeout_s` limits a connect and a command; `blocks_ms` is how much longer its commands may block in the server.
    CLIENT LIST shows its connections under `name`. In a cluster each partition has up to `connections_max`.
    """

    def pool_of(partition: int) -> ConnectionPool:
        return _pool(
            url,
            partition,
            max_connections=connections_max,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s + blocks_ms / 1000,
            client_name=name,
        )

    if read_address(url).kind == "cluster":
        return ClusterClient(pool_of)
    return Redis.from_pool(pool_of(0))


@asynccontextmanager
async def one_connection(redis: Redis, key: str) -> AsyncIterator[tuple[Redis, OwnConnection]]:
    """Yield a client that uses only one connection, to the server of a key, and that connection.

    WAITAOF covers what its own connection wrote.
    """
    pool = redis.pool_for(("", key)) if isinstance(redis, ClusterClient) else redis.connection_pool
    async with Redis(connection_pool=pool, single_connection_client=True) as client:
        yield client, cast("OwnConnection", client.connection)


def single_connection(url: SecretStr, partition: int = 0, *, connect_timeout_s: float) -> OwnConnection:
    """Return one connection, not yet connected, for `exchange`. The caller limits how long an exchange may take.

    In a cluster it leads to the node of the partition.

    A `socket_timeout` would put each write into a task of its own, one turn of a busy event loop later.
    """
    pool = _pool(url, partition, max_connections=1, socket_connect_timeout=connect_timeout_s, socket_timeout=None)
    return _connection(pool)


_ALWAYS: dict[str, Any] = {
    "protocol": 2,
    "decode_responses": False,
    "health_check_interval": 0,
    "retry": Retry(NoBackoff(), 0),
}
"""An address names the server, the user and how to verify it; the rest is ours: `?protocol=3` would change the replies
that are read, and a time limit would end a read that may block."""


def _pool(url: SecretStr, partition: int, **options: Any) -> ConnectionPool:  # noqa: ANN401
    return _pool_to(read_address(url).url, place_of(url, partition), **options)


def _pool_to(server_url: SecretStr, place: Place | None, **options: Any) -> ConnectionPool:  # noqa: ANN401
    of_url: dict[str, Any] = dict(parse_url(server_url.get_secret_value()))
    connection_class = _OWN_CLASSES[of_url.pop("connection_class", Connection)]
    if place is not None:
        options |= {"socket_keepalive": True, "place": place}
    return ConnectionPool(connection_class=connection_class, **{**of_url, **options, **_ALWAYS})


def place_of(url: SecretStr, partition: int = 0) -> Place | None:
    """Return where the server of a partition lives; None for a Unix socket.

    There is one for all connections, so that each knows what another has found.
    """
    return _place_of(url, partition if read_address(url).kind == "cluster" else 0)


@lru_cache(maxsize=PLACES_MAX)
def _place_of(url: SecretStr, partition: int) -> Place | None:
    address = read_address(url)
    by_name = address.url.get_secret_value().startswith("rediss://")

    async def ask(server: Server, questions: Sequence[Command]) -> list[Reply]:
        place = FixedServer(server, _LIVING, by_name=by_name)
        options = {"socket_connect_timeout": ANSWERS_WITHIN_S, "socket_timeout": ANSWERS_WITHIN_S, "driver_info": None}
        connection = _connection(_pool_to(address.asked_url, place, max_connections=1, **options))
        try:
            return await exchange(connection, questions)
        finally:
            await connection.disconnect(nowait=True)

    if address.kind == "sentinel":
        return SentinelMaster(address.servers, address.master_name, ask)
    if address.kind == "cluster":
        return ClusterMaster(address.servers, partition, ask, by_name=by_name)
    return FixedServer(address.servers[0], _LIVING, by_name=by_name) if address.servers else None


def _connection(pool: ConnectionPool) -> OwnConnection:
    return cast("OwnConnection", pool.make_connection())  # type: ignore[no-untyped-call]
