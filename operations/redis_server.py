"""The Redis server: its version and settings, what endangers events on it, and whether writes are on its disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from runtime.durability import CONFIG_NAMES, NotDurableError, check_durability, weaknesses

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
    replicas: int
    """Replicas that are connected."""
    problems: list[str]
    """Every reason why the server may lose or refuse events, one sentence each."""


async def read_redis_server(redis: Redis) -> RedisServer:
    """Read INFO and, if the server allows it, CONFIG."""
    info: dict[str, Any] = await redis.info()
    config = await _read_config(redis)
    try:
        waitaof = await redis.execute_command("COMMAND INFO", "WAITAOF")  # type: ignore[no-untyped-call]
    except ResponseError:  # the server forbids it
        waitaof = []
    name = "valkey" if "valkey_version" in info else "redis"
    return RedisServer(
        version=f"{name} {info[f'{name}_version']}",
        role=info["role"],
        used_memory_bytes=info["used_memory"],
        maxmemory_bytes=info["maxmemory"],
        maxmemory_policy=info["maxmemory_policy"],
        aof_enabled=bool(info["aof_enabled"]),
        aof_last_write_ok=info["aof_last_write_status"] == "ok",
        appendfsync=config.get("appendfsync") if config else None,
        replicas=info.get("connected_slaves", 0),
        problems=_problems(_as_text(info), config, has_waitaof=any(waitaof)),
    )


async def is_flushed(connection: Redis) -> bool:
    """Wait until everything written on this one connection is on the server's disk; return False if it may not be."""
    try:
        flushed, _replicas = await connection.execute_command(  # type: ignore[no-untyped-call]
            "WAITAOF", 1, 0, FLUSH_WAIT_MS
        )
    except ResponseError:  # The server is too old for WAITAOF, or has no append-only file.
        info: dict[str, Any] = await connection.info()
        return not weaknesses(_as_text(info), await _read_config(connection), has_waitaof=False)
    return bool(flushed)


def _problems(info: Mapping[str, str], config: Mapping[str, str] | None, *, has_waitaof: bool) -> list[str]:
    problems = weaknesses(info, config, has_waitaof=has_waitaof)
    try:
        check_durability("memory", 0, info, config, has_waitaof=has_waitaof)
    except NotDurableError as error:  # It takes no writes at all, however little durability is asked for.
        problems.append(str(error))
    return [f"{problem}." for problem in problems]


async def _read_config(redis: Redis) -> dict[str, str] | None:
    try:
        return cast("dict[str, str]", await redis.config_get(*CONFIG_NAMES))
    except ResponseError:  # Managed Redis services forbid it.
        return None


def _as_text(info: Mapping[str, Any]) -> dict[str, str]:
    """Undo the client's parsing of INFO."""
    return {name: str(value) for name, value in info.items()}
