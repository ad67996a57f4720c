"""`status`: the stream, the consumers, both servers, and the work that needs a person."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from consumers.stream_stats import StreamStats
from operations.cli.command import EXIT_UNREACHABLE, Command, Subcommand, no_arguments
from operations.completeness import Completeness
from operations.group_consumers import GroupConsumer
from operations.redis_server import RedisServer
from operations.status import PostgresStatus, RedisStatus, read_status
from operations.units import duration, size
from runtime.command_line import fail

STYLES = {"good": "", "warn": "yellow", "alarm": "bold red"}


async def show_status(command: Command) -> int:
    """Show both servers, each even if the other one cannot be reached."""
    reader = command.reader()
    status = await read_status(reader)
    if command.arguments.json:
        redis, postgres = redis_json(status.redis), postgres_json(status.postgres)
        command.print_json({"redis": redis, "postgres": postgres, "notes": reader.notes})
    if not command.arguments.json and isinstance(status.redis, RedisStatus):
        _print_redis(command.console, status.redis)
    if not command.arguments.json and isinstance(status.postgres, PostgresStatus):
        _print_postgres(command.console, status.postgres)
        command.print_notes(reader)
    problems = [half for half in (status.redis, status.postgres) if isinstance(half, str)]
    for problem in problems:
        fail(f"{problem}.", EXIT_UNREACHABLE)
    return EXIT_UNREACHABLE if problems else 0


COMMAND = Subcommand(
    "show backlog, lag, pending, workers, dead letters, conflicts, and both servers", no_arguments, show_status
)


def redis_json(status: RedisStatus | str) -> dict[str, Any]:
    """Return the stream, the consumers and the server; times in milliseconds, sizes in bytes."""
    if isinstance(status, str):
        return {"reachable": False, "problem": status}
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
            "stranded": status.stats.stranded,
            "oldest_pending_idle_ms": group.oldest_pending_idle_ms if group else 0,
        },
        "partitions": {"read": status.partitions, "routed": status.routed, "leaving": status.leaving},
        "consumers": [asdict(consumer) for consumer in status.consumers],
        "server": asdict(status.server),
    }


def postgres_json(status: PostgresStatus | str) -> dict[str, Any]:
    """Return the server's version and the counts."""
    if isinstance(status, str):
        return {"reachable": False, "problem": status}
    compared = {each.source: _compared_json(each) for each in status.compared}
    return {"reachable": True} | asdict(status) | {"compared": compared}


def _compared_json(each: Completeness) -> dict[str, Any]:
    found = asdict(each.found) if each.found else {}
    return {"every_s": each.every.total_seconds() if each.every else None} | found


def _print_redis(console: Console, status: RedisStatus) -> None:
    console.print(_stream_table(status.stats))
    if status.stats.parts:
        console.print(_partitions_table(status))
    console.print(_consumers_table(status.consumers))
    console.print(_server_table(status.server))
    for problem in status.server.problems:
        console.print(f"Redis: {problem}", style="bold red")


def _print_postgres(console: Console, status: PostgresStatus) -> None:
    table = _two_columns("PostgreSQL")
    table.add_row("server", f"PostgreSQL {status.version}")
    for name, rows in status.rows.items():
        table.add_row(f"rows in {name}", "not estimated yet" if rows is None else f"about {rows}")
    for name, count in (("dead letters open", status.dead_letters_open), ("conflicts open", status.conflicts_open)):
        table.add_row(name, str(count), style="bold red" if count else "")
    for reason, facts in status.held_back.items():
        table.add_row(f"on hold, {reason}", f"{facts} facts", style="yellow" if facts else "")
    for source, events in status.other_mode.items():
        table.add_row(f"of the other mode, {source}", f"{events} events moved no money", style="yellow")
    now = datetime.now(UTC)
    for each in status.compared:
        table.add_row(f"compared, {each.source}", each.sentence(now), style=STYLES[each.severity(now)])
    console.print(table)


def _stream_table(stats: StreamStats) -> Table:
    table = _two_columns("Stream")
    stream, group = stats.stream, stats.group
    if stream is None:
        table.add_row("backlog", "none: nothing was ever published")
        return table
    oldest = f", the oldest for {duration(stats.oldest_age_ms)}" if stream.length else ""
    table.add_row("backlog", f"{stream.length} entries{oldest}")
    table.add_row("added in total", str(stream.entries_added))
    if group is None:
        table.add_row("group", "none: no worker has started yet, or Redis lost it", style="bold red")
        return table
    table.add_row("not read yet", f"{'about ' if group.lag_is_estimated else ''}{group.lag}")
    idle = f", the oldest idle for {duration(group.oldest_pending_idle_ms)}" if group.pending else ""
    table.add_row("pending", f"{group.pending}{idle}")
    if stats.stranded:
        table.add_row("read, held by nobody", f"{stats.stranded} or more (make pending)", style="bold red")
    return table


def _partitions_table(status: RedisStatus) -> Table:
    table = Table("partition", "backlog", "oldest", "not read", "pending", title="Partitions", title_justify="left")
    for number, part in enumerate(status.stats.parts):
        stream, group = part.stream, part.group
        backlog = stream.length if stream else 0
        leaving = " (leaving)" if number in status.leaving else ""
        if number >= status.routed and not leaving:
            continue  # the number of partitions was made smaller, and this one is empty
        table.add_row(
            f"{number}{leaving}", str(backlog), duration(part.oldest_age_ms) if backlog else "",
            str(group.lag if group else backlog), str(group.pending if group else 0),
            style="bold red" if backlog and group is None else "yellow" if leaving else "",
        )  # fmt: skip
    return table


def _consumers_table(consumers: Sequence[GroupConsumer]) -> Table:
    table = Table("consumer", "lives", "pending", "idle", title="Consumers", title_justify="left")
    words = {True: "yes", False: "no: other workers claim its entries", None: "not a worker of ours"}
    for consumer in consumers:
        style = "" if consumer.lives else "red" if consumer.pending else "dim"
        lives = words[consumer.lives] if consumer.pending or consumer.lives else "no"
        table.add_row(consumer.name, lives, str(consumer.pending), duration(consumer.idle_ms), style=style)
    if not consumers:
        table.add_row("none", "", "", "")
    return table


def _server_table(server: RedisServer) -> Table:
    table = _two_columns("Redis")
    table.add_row("server", f"{server.version}, {server.role}")
    limit = size(server.maxmemory_bytes) if server.maxmemory_bytes else "no limit"
    table.add_row("memory", f"{size(server.used_memory_bytes)} of {limit}, {server.maxmemory_policy}")
    fsync = server.appendfsync or "unknown (CONFIG is forbidden)"
    table.add_row("on disk", f"appendonly {'yes' if server.aof_enabled else 'no'}, appendfsync {fsync}")
    return table


def _two_columns(title: str) -> Table:
    return Table("", "", title=title, title_justify="left", show_header=False)
