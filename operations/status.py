"""The state of the consumer side: stream, consumers, both servers, dead letters, conflicts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from consumers.stream_stats import StreamStats, add_up, every_partition, read_stream_stats
from contract.keys import Keys, read_partitions
from operations.completeness import Completeness, read_completeness
from operations.group_consumers import GroupConsumer, count_workers, list_consumers
from operations.held_back import count_other_mode
from operations.redis_server import RedisServer, read_redis_server
from operations.servers import Servers
from sql import load
from sql.connect import UnreachableError

if TYPE_CHECKING:
    from sql.connect import Connection

STATUS = load("status")
DEAD_LETTERS = load("dead_letters")
CONFLICTS = load("conflicts")


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """The stream, the consumers that read it, and its server."""

    stats: StreamStats
    consumers: list[GroupConsumer]
    server: RedisServer
    failing: int = 0
    """Entries that wait for another attempt: after a failure of their own, or an outage."""
    partitions: int = 1
    """The partitions that workers read."""
    routed: int = 1
    """The partitions that `make partitions` chose last. Those above it only get emptied."""
    workers: int = 0
    """Worker processes that run."""

    @property
    def leaving(self) -> dict[int, int]:
        """Return partition → its entries, of those from which the installation was shrunk, as long as it has some."""
        lengths = {number: each.stream.length if each.stream else 0 for number, each in enumerate(self.stats.parts)}
        return {number: length for number, length in lengths.items() if number >= self.routed and length}


@dataclass(frozen=True, slots=True)
class PostgresStatus:
    """The server and the counts of work for a person."""

    version: str
    dead_letters_open: int
    conflicts_open: int
    held_back: dict[str, int]
    """Facts on hold, by reason."""
    other_mode: dict[str, int]
    """Events that moved no money, because they are of the other mode than their source; by source."""
    rows: dict[str, int | None]
    """Estimated rows by table; None before the first ANALYZE."""
    compared: list[Completeness] = field(default_factory=list)
    """The sources that are compared with their providers' lists."""


@dataclass(frozen=True, slots=True)
class Status:
    """Both halves. A server that could not be reached is the sentence that says why."""

    redis: RedisStatus | str
    postgres: PostgresStatus | str


async def read_status(servers: Servers) -> Status:
    """Read both servers, each even if the other one cannot be reached."""
    redis_status: RedisStatus | str
    postgres_status: PostgresStatus | str
    try:
        async with servers.redis() as redis:
            redis_status = await read_redis_status(redis, servers.keys)
    except UnreachableError as error:
        redis_status = str(error)
    try:
        async with servers.postgres() as connection:
            postgres_status = await read_postgres_status(connection, servers.settings.sources_file)
    except UnreachableError as error:
        postgres_status = str(error)
    return Status(redis_status, postgres_status)


async def read_redis_status(redis: Redis, keys: Keys) -> RedisStatus:
    """Read the stream's statistics, the consumers and the server's settings. Cheap at any backlog."""
    partitions = await every_partition(redis, keys)
    stats = add_up([await read_stream_stats(redis, each) for each in partitions])
    consumers = await list_consumers(redis, keys, stats)
    failing = sum([await redis.hlen(each.failures) for each in partitions])
    stored = await redis.hget(keys.partitions, "routed")
    routed = read_partitions(stored) if stored else len(partitions)
    workers = await count_workers(redis, keys, stats, consumers)
    return RedisStatus(stats, consumers, await read_redis_server(redis), failing, len(partitions), routed, workers)


async def read_postgres_status(connection: "Connection", sources_file: Path) -> PostgresStatus:
    """Count dead letters, conflicts and held-back facts; estimate the rows of the large tables.

    `sources_file` says which sources are to be compared with their providers' lists.
    """
    version = connection.get_server_version()
    rows = await connection.fetch(STATUS["estimate_rows"])
    return PostgresStatus(
        # PostgreSQL has had no minor number since 10; asyncpg calls the second number micro.
        version=f"{version.major}.{version.micro}",
        dead_letters_open=await connection.fetchval(DEAD_LETTERS["count_open_dead_letters"]),
        conflicts_open=await connection.fetchval(CONFLICTS["count_open_conflicts"]),
        held_back=await _count_held_back(connection),
        other_mode={each.source: each.events for each in await count_other_mode(connection)},
        rows={row["table_name"]: row["rows"] for row in rows},
        compared=await read_completeness(connection, sources_file),
    )


async def _count_held_back(connection: "Connection") -> dict[str, int]:
    facts = dict.fromkeys(("conflict", "unsigned"), 0)
    for row in await connection.fetch(CONFLICTS["count_held_back"]):
        facts[row["reason"]] += row["facts"]
    return facts
