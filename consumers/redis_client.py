"""How a worker speaks to Redis: every time-out explicit, no retries behind our back."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.typing import EncodableT

from consumers.settings import Settings

CONNECTIONS_MAX = 4


class _Writing(AbstractConnection):
    """How every connection of ours writes."""

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """One command on the wire, written by hiredis, as redis-py's blocking client does; its asyncio one takes ten
        times as long for the thousands of ids and keys of a batch.
        """
        return _SERIALIZER.pack(*args)  # type: ignore[no-any-return, arg-type] # its annotation is wrong

    async def send_packed_command(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as redis-py has it
        """Raises RedisError. Writing to a connection that the server has closed is a RuntimeError to uvloop, and an
        AttributeError to asyncio's own event loop before Python 3.13.6.
        """
        try:
            await super().send_packed_command(*args, **options)
        except (RuntimeError, AttributeError) as error:
            raise RedisConnectionError(f"the connection to Redis was closed: {error}") from error


class _Tcp(_Writing, Connection):
    pass


class _Tls(_Writing, SSLConnection):
    pass


class _Unix(_Writing, UnixDomainSocketConnection):
    pass


_SERIALIZER = HiredisRespSerializer()
_CONNECTIONS: dict[str, type[AbstractConnection]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


def connect(settings: Settings, *, blocks_ms: int = 0) -> Redis:
    """A client that connects when first used. `blocks_ms` is how long its commands may block beyond the time-out."""
    url = settings.redis_url.get_secret_value()
    scheme = url.partition("://")[0]
    of_tcp: dict[str, Any] = {} if scheme == "unix" else {"socket_keepalive": True}
    client = Redis.from_url(
        url,
        **of_tcp,
        protocol=2,
        decode_responses=False,
        socket_timeout=settings.redis_timeout_s + blocks_ms / 1000,
        socket_connect_timeout=settings.redis_timeout_s,
        health_check_interval=0,
        max_connections=CONNECTIONS_MAX,
        retry=Retry(NoBackoff(), 0),
        client_name="payments-consumer",
    )
    client.connection_pool.connection_class = _CONNECTIONS[scheme]
    return client
