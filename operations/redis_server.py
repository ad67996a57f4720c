"""What the Redis server is, and whether what it was told is on its disk."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

FLUSH_WAIT_MS = 2000
"""How long one write may take to reach the disk; with appendfsync everysec it takes up to a second."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """The facts an operator asks for. `appendfsync` is None where CONFIG is forbidden."""

    version: str
    role: str
    used_memory_bytes: int
    maxmemory_bytes: int
    maxmemory_policy: str
    aof_enabled: bool
    aof_last_write_ok: bool
    appendfsync: str | None

    @property
    def problems(self) -> list[str]:
        """What would let it lose or refuse events, one sentence each."""
        found = []
        if not self.aof_enabled:
            found.append("appendonly is off: a restart loses every event that waits.")
        if not self.aof_last_write_ok:
            found.append("Its last write to the append-only file failed: look at its disk.")
        if self.appendfsync == "no":
            found.append("appendfsync is no: a power cut loses events that were answered 2xx.")
        if self.maxmemory_policy != "noeviction":
            found.append(f"maxmemory-policy is {self.maxmemory_policy}, not noeviction: it may drop the whole stream.")
        if self.role != "master":
            found.append(f"It is a {self.role}: it takes no writes.")
        return found


async def look_at_server(redis: Redis) -> RedisServer:
    """Asks INFO and, where it is allowed, CONFIG."""
    info: dict[str, Any] = await redis.info()
    name = "valkey" if "valkey_version" in info else "redis"
    return RedisServer(
        version=f"{name} {info[f'{name}_version']}",
        role=info["role"],
        used_memory_bytes=info["used_memory"],
        maxmemory_bytes=info["maxmemory"],
        maxmemory_policy=info["maxmemory_policy"],
        aof_enabled=bool(info["aof_enabled"]),
        aof_last_write_ok=info["aof_last_write_status"] == "ok",
        appendfsync=await _appendfsync(redis),
    )


async def is_flushed(connection: Redis) -> bool:
    """Whether all that this one connection has written is on the server's disk, waiting for it if need be."""
    try:
        flushed, _replicas = await connection.execute_command(  # type: ignore[no-untyped-call]
            "WAITAOF", 1, 0, FLUSH_WAIT_MS
        )
    except ResponseError:  # The server is too old for WAITAOF, or keeps no append-only file.
        info: dict[str, Any] = await connection.info("persistence")
        return bool(info["aof_enabled"]) and await _appendfsync(connection) == "always"
    return bool(flushed)


async def _appendfsync(redis: Redis) -> str | None:
    try:
        config = await redis.config_get("appendfsync")
    except ResponseError:  # A managed Redis forbids it.
        return None
    return config.get("appendfsync")
