"""The Redis server: its version and settings, what endangers events on it, and whether writes are on its disk."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

FLUSH_WAIT_MS = 2000
"""How long a write may take to reach the disk. With appendfsync everysec it takes up to a second."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """The facts an operator asks for. `appendfsync` is None if the server forbids CONFIG."""

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
        """Everything that can make the server lose or refuse events, one sentence each."""
        found = []
        if not self.aof_enabled:
            found.append("appendonly is off: a restart loses every event in the stream. Set appendonly yes.")
        if not self.aof_last_write_ok:
            found.append("Its last write to the append-only file failed: check its disk.")
        if self.appendfsync == "no":
            found.append("appendfsync is no: a power cut loses events that were answered 2xx. Set it to always.")
        if self.maxmemory_policy != "noeviction":
            found.append(f"maxmemory-policy is {self.maxmemory_policy}, not noeviction: it may drop the whole stream.")
        if self.role != "master":
            found.append(f"It is a {self.role} and takes no writes: set REDIS_URL to the master.")
        return found


async def read_redis_server(redis: Redis) -> RedisServer:
    """Read INFO and, if the server allows it, CONFIG."""
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
    """Wait until everything written on this one connection is on the server's disk; return False if it may not be."""
    try:
        flushed, _replicas = await connection.execute_command(  # type: ignore[no-untyped-call]
            "WAITAOF", 1, 0, FLUSH_WAIT_MS
        )
    except ResponseError:  # The server is too old for WAITAOF, or has no append-only file.
        info: dict[str, Any] = await connection.info("persistence")
        return bool(info["aof_enabled"]) and await _appendfsync(connection) == "always"
    return bool(flushed)


async def _appendfsync(redis: Redis) -> str | None:
    try:
        config = await redis.config_get("appendfsync")
    except ResponseError:  # Managed Redis services forbid it.
        return None
    return config.get("appendfsync")
