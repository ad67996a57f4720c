"""How a worker speaks to Redis: every time-out explicit, no retries behind our back."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from consumers.settings import Settings

CONNECTIONS_MAX = 4


class Client(Redis):
    """Redis, whose every failure to reach the server is a RedisError."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as Redis has it
        """Raises RedisError. uvloop says RuntimeError when it writes to a connection that the server has closed."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection to Redis was closed: {error}") from error


def connect(settings: Settings, *, blocks_ms: int = 0) -> Redis:
    """A client that connects when first used. `blocks_ms` is how long its commands may block beyond the time-out."""
    url = settings.redis_url.get_secret_value()
    of_tcp: dict[str, Any] = {} if url.startswith("unix://") else {"socket_keepalive": True}
    return Client.from_url(
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
