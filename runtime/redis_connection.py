"""How every program speaks to Redis: time limits are explicit, replies are bytes, and nothing is retried unseen."""

from collections.abc import Sequence
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
from redis.exceptions import ResponseError
from redis.typing import EncodableT

Command = Sequence[str | bytes | int]
Reply = Any
"""bytes, int, None, a list of them, or the ResponseError that the server answered with."""

POOL_CONNECTIONS_MAX = 4
"""Connections of one client; a worker uses one or two at a time."""


class _OwnConnection(AbstractConnection):
    """Packs commands in C, and reports a closed connection as redis-py's own ConnectionError.

    redis-py's asyncio connection packs in Python, which takes ten times as long for the thousands of ids of a batch.
    Using a closed connection raises RuntimeError in uvloop, and AttributeError in asyncio before Python 3.13.6.
    """

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return one command on the wire. redis-py's command names may hold a space: they are several words."""
        name, *rest = args
        words = name.split() if isinstance(name, bytes) else str(name).encode().split()
        return [pack_command((*words, *rest))]  # type: ignore[arg-type] # its annotation allows one argument only

    async def send_packed_command(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Write packed commands, after connecting where there is no connection yet. Raises RedisError."""
        try:
            await super().send_packed_command(*args, **options)
        except (RuntimeError, AttributeError) as error:
            raise RedisConnectionError(f"the connection to Redis was closed: {error}") from error

    async def read_response(self, *args: Any, **options: Any) -> Reply:  # noqa: ANN401 - as redis-py has it
        """Return the next reply. Raises RedisError."""
        try:
            return await super().read_response(*args, **options)
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection to Redis was closed: {error}") from error


class _TcpConnection(_OwnConnection, Connection):
    pass


class _TlsConnection(_OwnConnection, SSLConnection):
    pass


class _UnixConnection(_OwnConnection, UnixDomainSocketConnection):
    pass


_OWN_CLASSES: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _TcpConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _UnixConnection,
}


def client(url: SecretStr, *, timeout_s: float, name: str, blocks_ms: int = 0) -> Redis:
    """Return a client that connects when it is first used.

    `timeout_s` limits a connect and a command; `blocks_ms` is how much longer its commands may block in the server.
    CLIENT LIST shows its connections under `name`.
    """
    return Redis.from_pool(
        _pool(
            url,
            max_connections=POOL_CONNECTIONS_MAX,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s + blocks_ms / 1000,
            client_name=name,
        )
    )


def single_connection(url: SecretStr, *, connect_timeout_s: float) -> AbstractConnection:
    """Return one connection, not yet connected, for `exchange`. The caller limits how long an exchange may take.

    A `socket_timeout` would put each write into a task of its own, one turn of a busy event loop later.
    """
    pool = _pool(url, max_connections=1, socket_connect_timeout=connect_timeout_s, socket_timeout=None)
    return cast("AbstractConnection", pool.make_connection())  # type: ignore[no-untyped-call]


async def exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Reply]:
    """Send the commands in one write, connecting first where needed, and return the reply to each.

    An error that the server answers with is a reply. Raises RedisError; drop the connection after it.
    """
    packed = [pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
    await connection.send_packed_command(packed, check_health=False)
    return [await _read_reply(connection) for _ in commands]


async def _read_reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _pool(url: SecretStr, **options: Any) -> ConnectionPool:  # noqa: ANN401
    of_url: dict[str, Any] = dict(parse_url(url.get_secret_value()))
    connection_class = _OWN_CLASSES[of_url.pop("connection_class", Connection)]
    if connection_class is not _UnixConnection:
        options["socket_keepalive"] = True
    always: dict[str, Any] = {
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
    }
    return ConnectionPool(connection_class=connection_class, **{**always, **options, **of_url})
