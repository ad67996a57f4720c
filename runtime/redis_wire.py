"""A connection to Redis as all programs want it, and one exchange over it."""

from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.typing import EncodableT

from runtime.addresses import Server
from runtime.tls import describe_tls_of_redis

Command = Sequence[str | bytes | int]
Reply = Any
"""bytes, int, None, a list of them, or the ResponseError that the server answered with."""

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

    target: Server | None = None
    """The server that it leads to, or is being connected to; None where its address is never another server's."""

    connects = 0
    """How often it has connected: WAIT and WAITAOF cover only what was written since the last time."""

    async def require(self) -> None:
        """Raise RedisError unless this connection's server takes our writes still. A Unix socket is always right."""

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return one command on the wire. redis-py's command names may hold a space: they are several words."""
        name, *rest = args
        words = name.split() if isinstance(name, bytes) else str(name).encode().split()
        return [pack_command((*words, *rest))]  # type: ignore[arg-type] # its annotation allows one argument only

    async def connect_check_health(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Connect. Raises RedisError, with a sentence where one side speaks TLS and the other does not believe it."""
        self.connects += not self.is_connected
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
