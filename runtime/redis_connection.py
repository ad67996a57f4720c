"""How every program speaks to Redis: time limits are explicit, replies are bytes, and nothing is retried unseen."""

import asyncio
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from hiredis import pack_command
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
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.typing import EncodableT

from runtime.addresses import LivingServers, Server
from runtime.redis_address import read_address
from runtime.redis_cluster import ClusterClient
from runtime.redis_masters import ANSWERS_WITHIN_S, ClusterMaster, SentinelMaster
from runtime.redis_places import FixedServer, Place
from runtime.tls import describe_tls_of_redis

Command = Sequence[str | bytes | int]
Reply = Any
"""bytes, int, None, a list of them, or the ResponseError that the server answered with."""

POOL_CONNECTIONS_MAX = 4
"""Connections of one client; a worker uses one or two at a time."""

CONNECTS_WITHIN_S = 0.25
"""Where connecting took longer, it is asked again whether the server is still the right one."""

PLACES_MAX = 512
"""Addresses, and partitions of a cluster, whose server is remembered: more than one program has."""

_UNUSABLE_CODES = frozenset({
    "READONLY",  # a replica, e.g. the primary of before a failover
    "UNBLOCKED",  # it became a replica while a command waited
    "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN",  # another server answers, or this one later
    "MISCONF", "NOREPLICAS", "OOM",  # it takes no writes
    "NOAUTH", "WRONGPASS",  # an operator changed the password
})  # fmt: skip
"""Codes of errors from a server that cannot do our work now. Redis' address may lead to another one by then."""


class OwnConnection(AbstractConnection):
    """Packs commands in C, and reports a closed connection as redis-py's own ConnectionError.

    redis-py's asyncio connection packs in Python, which takes ten times as long for the thousands of ids of a batch.
    Using a closed connection raises RuntimeError in uvloop, and AttributeError in asyncio before Python 3.13.6.
    """

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return one command on the wire. redis-py's command names may hold a space: they are several words."""
        name, *rest = args
        words = name.split() if isinstance(name, bytes) else str(name).encode().split()
        return [pack_command((*words, *rest))]  # type: ignore[arg-type] # its annotation allows one argument only

    async def connect_check_health(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Connect. Raises RedisError, with a sentence where one side speaks TLS and the other does not believe it."""
        try:
            await super().connect_check_health(*args, **options)
        except (RedisConnectionError, RedisTimeoutError) as error:
            kind = RedisTimeoutError if isinstance(error, RedisTimeoutError) else RedisConnectionError
            speaks_tls, timed_out = isinstance(self, SSLConnection), kind is RedisTimeoutError
            if reason := describe_tls_of_redis(error, speaks_tls=speaks_tls, timed_out=timed_out):
                raise kind(f"connecting to Redis: {reason}") from error
            raise

    async def send_packed_command(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Write packed commands, after connecting where there is no connection yet. Raises RedisError."""
        try:
            await super().send_packed_command(*args, **options)
        except (RuntimeError, AttributeError) as error:
            raise RedisConnectionError(f"the connection to Redis was closed: {error}") from error

    async def read_response(self, *args: Any, **options: Any) -> Reply:  # noqa: ANN401 - as redis-py has it
        """Return the next reply. Raises RedisError.

        Closes the connection if the server says that it cannot do our work: the next command connects again, to the
        server that the address leads to by then.
        """
        try:
            return await self.read_in_step(*args, **options)
        except RedisError as error:
            if is_unusable(error):
                await self.disconnect(nowait=True)
            raise

    async def read_in_step(self, *args: Any, **options: Any) -> Reply:  # noqa: ANN401 - as redis-py has it
        """Return the next reply, and leave the connection open after an error that the server answered."""
        try:
            return await super().read_response(*args, **options)
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection to Redis was closed: {error}") from error


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
        address, self._server = "", None
        try:
            server = self.host, self.port = await self._place.find()
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


def is_unusable(error: RedisError) -> bool:
    """Return whether a server answered that it cannot do our work now: a replica, one that loads, is full, …"""
    return _code(error) in _UNUSABLE_CODES


def describe_reply(error: RedisError) -> str:
    """Return an error that a server answered, with its code: redis-py removes the codes it knows from the text."""
    code, text = _code(error), str(error)
    return text if not code or text.startswith(code) else f"{code} {text}"


def _code(error: RedisError) -> str:
    known = getattr(error, "status_code", None)
    return str(known) if known else str(error).partition(" ")[0]


def single_connection(url: SecretStr, partition: int = 0, *, connect_timeout_s: float) -> OwnConnection:
    """Return one connection, not yet connected, for `exchange`. The caller limits how long an exchange may take.

    In a cluster it leads to the node of the partition.

    A `socket_timeout` would put each write into a task of its own, one turn of a busy event loop later.
    """
    pool = _pool(url, partition, max_connections=1, socket_connect_timeout=connect_timeout_s, socket_timeout=None)
    return _connection(pool)


async def exchange(connection: OwnConnection, commands: Sequence[Command]) -> list[Reply]:
    """Send the commands in one write, connecting first where needed, and return the reply to each.

    An error that the server answers with is a reply; if it says that the server cannot do our work, the connection is
    closed behind it. Raises RedisError; drop the connection after it.
    """
    packed = [pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
    await connection.send_packed_command(packed, check_health=False)
    replies = [await _read_reply(connection) for _ in commands]
    if any(isinstance(reply, RedisError) and is_unusable(reply) for reply in replies):
        await connection.disconnect(nowait=True)
    return replies


async def _read_reply(connection: OwnConnection) -> Reply:
    try:
        return await connection.read_in_step()
    except ResponseError as error:
        return error


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
