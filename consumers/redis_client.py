"""How a worker speaks to Redis: every time-out explicit, no retries behind our back."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from consumers.settings import Settings

CONNECTIONS_MAX = 4


def connect(settings: Settings, *, blocks_ms: int = 0) -> Redis:
    """A client that connects when first used. `blocks_ms` is how long its commands may block beyond the time-out."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        protocol=2,
        decode_responses=False,
        socket_timeout=settings.redis_timeout_s + blocks_ms / 1000,
        socket_connect_timeout=settings.redis_timeout_s,
        socket_keepalive=True,
        health_check_interval=0,
        max_connections=CONNECTIONS_MAX,
        retry=Retry(NoBackoff(), 0),
        client_name="payments-consumer",
    )
