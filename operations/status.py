"""`status`: the whole consumer side on one screen, each half also without the other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from consumers.stream_stats import StreamStats, read_stream_stats
from contract.keys import Keys
from operations.pending import Consumer, list_consumers
from operations.redis_server import RedisServer, look_at_server
from operations.units import duration, size
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

STATUS = load("status")
DEAD_LETTERS = load("dead_letters")
CONFLICTS = load("conflicts")


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """The stream, who reads it, and the server it is in."""

    stats: StreamStats
    consumers: list[Consumer]
    server: RedisServer


@dataclass(frozen=True, slots=True)
class PostgresStatus:
    """`rows` are estimates; None where Postgres has not looked yet."""

    version: str
    dead_letters_open: int
    conflicts_open: int
    held_back: dict[str, int]
    """Facts that may not move money now, by the reason."""
    rows: dict[str, int | None]


async def look_at_redis(redis: Redis, keys: Keys) -> RedisStatus:
    """Reads a few numbers; costs Redis nothing to speak of."""
    stats = await read_stream_stats(redis, keys)
    consumers = await list_consumers(redis, keys, stats)
    return RedisStatus(stats, consumers, await look_at_server(redis))


async def look_at_postgres(connection: "Connection") -> PostgresStatus:
    """Counts dead letters, estimates the rest."""
    version = connection.get_server_version()
    rows = await connection.fetch(STATUS["estimate_rows"])
    return PostgresStatus(
        # Since 10 there is no minor number; asyncpg calls the second one micro.
        version=f"{version.major}.{version.micro}",
        dead_letters_open=await connection.fetchval(DEAD_LETTERS["count_open_dead_letters"]),
        conflicts_open=await connection.fetchval(CONFLICTS["count_open_conflicts"]),
        held_back=await _count_held_back(connection),
        rows={row["table_name"]: row["rows"] for row in rows},
    )


async def _count_held_back(connection: "Connection") -> dict[str, int]:
    facts = dict.fromkeys(("conflict", "unsigned"), 0)
    for row in await connection.fetch(CONFLICTS["count_held_back"]):
        facts[row["reason"]] += row["facts"]
    return facts


def print_redis(console: Console, status: RedisStatus) -> None:
    """The stream, the consumers, the server; then what is wrong with it."""
    console.print(_stream_table(status.stats))
    console.print(_consumers_table(status.consumers))
    console.print(_server_table(status.server))
    for problem in status.server.problems:
        console.print(f"Redis: {problem}", style="bold red")


def print_postgres(console: Console, status: PostgresStatus) -> None:
    """Rows and dead letters."""
    table = _facts("PostgreSQL")
    table.add_row("server", f"PostgreSQL {status.version}")
    for name, rows in status.rows.items():
        table.add_row(f"rows in {name}", "not estimated yet" if rows is None else f"about {rows}")
    table.add_row(
        "dead letters open", str(status.dead_letters_open), style="bold red" if status.dead_letters_open else ""
    )
    table.add_row(
        "conflicts open", str(status.conflicts_open), style="bold red" if status.conflicts_open else ""
    )  # fmt: skip
    for reason, facts in status.held_back.items():
        table.add_row(f"held back, {reason}", f"{facts} facts", style="yellow" if facts else "")
    console.print(table)


def redis_json(status: RedisStatus) -> dict[str, Any]:
    """For a script; times in milliseconds, sizes in bytes."""
    stream, group = status.stats.stream, status.stats.group
    return {
        "reachable": True,
        "stream": {
            "exists": stream is not None,
            "backlog": stream.length if stream else 0,
            "entries_added": stream.entries_added if stream else 0,
            "oldest_age_ms": status.stats.oldest_age_ms,
            "group_exists": group is not None,
            "lag": group.lag if group else stream.length if stream else 0,
            "lag_is_estimated": group.lag_is_estimated if group else False,
            "pending": group.pending if group else 0,
            "oldest_pending_idle_ms": group.oldest_pending_idle_ms if group else 0,
        },
        "consumers": [asdict(consumer) for consumer in status.consumers],
        "server": asdict(status.server) | {"problems": status.server.problems},
    }


def postgres_json(status: PostgresStatus) -> dict[str, Any]:
    """For a script."""
    return {"reachable": True} | asdict(status)


def _stream_table(stats: StreamStats) -> Table:
    table = _facts("Stream")
    stream, group = stats.stream, stats.group
    if stream is None:
        table.add_row("backlog", "none: nothing was ever published")
        return table
    oldest = f", the oldest for {duration(stats.oldest_age_ms)}" if stream.length else ""
    table.add_row("backlog", f"{stream.length} entries{oldest}")
    table.add_row("added in all", str(stream.entries_added))
    if group is None:
        table.add_row("group", "none: no worker has started yet, or Redis lost it", style="bold red")
        return table
    table.add_row("not read yet", f"{'about ' if group.lag_is_estimated else ''}{group.lag}")
    idle = f", the oldest idle for {duration(group.oldest_pending_idle_ms)}" if group.pending else ""
    table.add_row("pending", f"{group.pending}{idle}")
    return table


def _consumers_table(consumers: Sequence[Consumer]) -> Table:
    table = Table("consumer", "lives", "pending", "idle", title="Consumers", title_justify="left")
    words = {True: "yes", False: "no: its entries are taken over", None: "not a worker of ours"}
    for consumer in consumers:
        style = "" if consumer.lives else "red" if consumer.pending else "dim"
        table.add_row(consumer.name, words[consumer.lives] if consumer.pending or consumer.lives else "no",
                      str(consumer.pending), duration(consumer.idle_ms), style=style)  # fmt: skip
    if not consumers:
        table.add_row("none", "", "", "")
    return table


def _server_table(server: RedisServer) -> Table:
    table = _facts("Redis")
    table.add_row("server", f"{server.version}, {server.role}")
    limit = size(server.maxmemory_bytes) if server.maxmemory_bytes else "no limit"
    table.add_row("memory", f"{size(server.used_memory_bytes)} of {limit}, {server.maxmemory_policy}")
    fsync = server.appendfsync or "unknown (CONFIG is forbidden)"
    table.add_row("on disk", f"appendonly {'yes' if server.aof_enabled else 'no'}, appendfsync {fsync}")
    return table


def _facts(title: str) -> Table:
    return Table("", "", title=title, title_justify="left", show_header=False)
