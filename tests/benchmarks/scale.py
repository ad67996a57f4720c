"""One worker on a database with a long history, and on an empty one, in turns: history, empty, empty, history.

Postgres is as durable as production's. Each turn begins right after a checkpoint, so that each page that is changed
goes to the log as a whole at first, and there is another one after each `--checkpoint-events`: what a server makes by
itself depends on how busy the machine is. The log's bytes do not, as times do.

With `--cold` the server is restarted before each turn, and no file of it is in memory. As one that is restarted has, it
has worked before, on as many events: it notes which pages it had in memory, and reads them again.

With `--curve` there is one turn for each size of history up to `--rows`, and what follows for a larger one.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import dataclass, replace
from hashlib import md5
from itertools import islice
from pathlib import Path
from statistics import mean

from contract.event import Event
from sql import Queries, parse
from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from stack.postgres import shared_buffers
from tests.benchmarks import curve
from tests.benchmarks.consumers import fill, measure_backlog
from tests.benchmarks.events import Name, stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import DURABLE, PREFIX, Harness, Options, family_cpu_s
from tests.benchmarks.history import READ_ONLY, Shape, make_history
from tests.benchmarks.pages import kept_folder, servers
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, as_worker
from tests.support.servers import PostgresServer, as_user

SCALE = Queries("scale", parse(Path(__file__).with_suffix(".sql").read_text(), "scale.sql"))

HISTORY = "history"
EMPTY = "empty"
TURNS = (HISTORY, EMPTY, EMPTY, HISTORY)

AS_STARTED = DURABLE | {"shared_buffers": shared_buffers()}
"""With the memory that `make up` gives the server."""

BYTES_ONLY = {"fsync": "off", "autovacuum": "on"}
"""For the curve: as many bytes are written, and sooner."""

RATE_TARGET, COLD_RATE_TARGET = 0.75, 0.5
WAL_TARGET_BYTES = 6144.0

CHUNK_EVENTS = 5000
"""Made at a time: all of them would need a gigabyte."""

DRAIN_TIMEOUT_S = 1200.0
COMMAND_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn found; all but the rate and the checkpoints are per event."""

    per_s: float
    worker_us: float
    postgres_us: float
    wal_bytes: float
    full_pages: float
    checkpoints: float


async def run(options: Options) -> list[Figure]:
    """Fill the history, take the turns, and time the commands that read all of it."""
    if options.is_curve:
        return await _curve(options)
    with kept_folder(options.folder) as folder, redirect_stdout(sys.stderr):  # migrations say what they do
        async with servers(folder, READ_ONLY) as on:
            await make_history(on.postgres, _shape(options))
        async with servers(folder, AS_STARTED) as on:
            turns: dict[str, list[Turn]] = {HISTORY: [], EMPTY: []}
            for number, side in enumerate(TURNS):
                async with _database(on.postgres, side) as url:
                    turn = await _measure(on, url, options, _name(options.ids, number))
                turns[side].append(turn)
                sys.stderr.write(f"  {side}: {turn}\n")
            sizes = await _index_sizes(on.postgres.database_url(HISTORY))
            commands = await _commands(on, on.postgres.database_url(HISTORY))
    return [*_figures(turns, options), *sizes, *commands]


async def _curve(options: Options) -> list[Figure]:
    """Take one turn on a history of each size. A size counts the half of the turn's own events: they are its mean."""
    points = []
    for number, rows in enumerate(size for size in curve.SIZES if size <= options.rows):
        with kept_folder(None) as folder, redirect_stdout(sys.stderr):
            async with servers(folder, READ_ONLY) as on:
                await make_history(on.postgres, _shape(replace(options, rows=rows)))
            async with servers(folder, BYTES_ONLY) as on:
                url = on.postgres.database_url(HISTORY)
                turn = await _measure(on, url, options, _name(options.ids, number))
        points.append(curve.Point(rows + options.events // 2, turn.full_pages, turn.wal_bytes))
        sys.stderr.write(f"  {rows:,}: {turn}\n")
    return curve.figures(points, _group(options))


def _shape(options: Options) -> Shape:
    return Shape(options.rows, options.days, min(options.hot_days, options.days))


def _name(ids: str, number: int) -> Name:
    """Return what names the events of one turn: as random as UUIDs, or counted. A later run uses other names."""
    run = f"{time.time_ns():x}{number}"
    if ids == "random":
        return lambda event: md5(f"{run}{event}".encode(), usedforsecurity=False).hexdigest()
    return lambda event: f"bench_{run}_{event:012}"


@asynccontextmanager
async def _database(postgres: PostgresServer, side: str) -> AsyncIterator[str]:
    """Yield the address of the history, or of an empty database that is dropped at the end."""
    url = postgres.database_url(side)
    if side == HISTORY:
        yield url
        return
    async with connect(postgres.database_url("postgres"), timeout_s=CONNECT_TIMEOUT_S) as admin:
        await admin.execute(f"DROP DATABASE IF EXISTS {EMPTY} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {EMPTY} TEMPLATE template0")
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await migrate(connection, lock_wait_s=LOCK_WAIT_S)
        await grant_rights(connection, as_worker(url))
    yield url
    async with connect(postgres.database_url("postgres"), timeout_s=CONNECT_TIMEOUT_S) as admin:
        await admin.execute(f"DROP DATABASE {EMPTY} WITH (FORCE)")


async def _measure(on: Harness, url: str, options: Options, name: Name) -> Turn:
    if options.is_cold:
        await _fill(on, url, options.events, options.events, name)
        await measure_backlog(on, url, options.events, {}, timeout_s=DRAIN_TIMEOUT_S)
    await _fill(on, url, 0, options.events, name)
    if options.is_cold:
        await restart_cold(on.postgres)
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute("CHECKPOINT", timeout=None)
    before, before_s = await _counters(url), family_cpu_s(on.postgres.child)
    async with asyncio.TaskGroup() as group:
        group.create_task(_make_checkpoints(on, url, options))
        per_s, worker_us = await measure_backlog(on, url, options.events, {}, timeout_s=DRAIN_TIMEOUT_S)
    after, used_s = await _counters(url), family_cpu_s(on.postgres.child) - before_s
    return Turn(
        per_s,
        worker_us,
        used_s / options.events * 1e6,
        (after["wal_bytes"] - before["wal_bytes"]) / options.events,
        (after["full_pages"] - before["full_pages"]) / options.events,
        after["checkpoints"] - before["checkpoints"],
    )


async def _fill(on: Harness, url: str, first: int, count: int, name: Name) -> None:
    """Put events into the stream of a Redis that this database has not seen yet: the last turn emptied it."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute(SCALE["forget_redis"])
    for events in _in_chunks(stream_events(first, count, name)):
        await fill(on, events)


async def _make_checkpoints(on: Harness, url: str, options: Options) -> None:
    """Make a checkpoint each time another `checkpoint_events` were applied."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        for applied in range(options.checkpoint_events, options.events, options.checkpoint_events):
            await on.drained(options.events - applied, timeout_s=DRAIN_TIMEOUT_S)
            await connection.execute("CHECKPOINT", timeout=None)


async def restart_cold(postgres: PostgresServer) -> None:
    """Start the server with none of its files in memory, as after the machine's own start."""
    postgres.stop()
    for path in postgres.data_dir.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
    await postgres.restart()


def _in_chunks(events: Iterable[Event]) -> Iterator[list[Event]]:
    left = iter(events)
    while chunk := list(islice(left, CHUNK_EVENTS)):
        yield chunk


async def _counters(url: str) -> dict[str, float]:
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        return {name: float(value) for name, value in (await connection.fetchrow(SCALE["read_counters"])).items()}


async def _index_sizes(url: str) -> list[Figure]:
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        rows = await connection.fetch(SCALE["list_large_indexes"])
    return [Figure("index", row["name"], row["bytes"] / 1e6, "MB") for row in rows]


async def _commands(on: Harness, url: str) -> list[Figure]:
    """Time `make audit`, whose findings are the made-up history's, `make why`, and Postgres' part of `make status`."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        event_id = await connection.fetchval("SELECT event_id FROM events WHERE event_id > 'evt_8' LIMIT 1")
    env = {"REDIS_URL": as_user("workers", on.valkey.url), "DATABASE_URL": as_worker(url), "KEY_PREFIX": PREFIX}
    figures = []
    for arguments in (("why", "--", str(event_id)), ("status",), ("audit",)):
        began_s = time.perf_counter()
        code = on.programs.start("operations", env, arguments).wait(COMMAND_TIMEOUT_S)
        took_s = time.perf_counter() - began_s
        figures.append(Figure("command", f"make {arguments[0]} (exit code {code})", took_s, "s"))
    return figures


def _figures(turns: dict[str, list[Turn]], options: Options) -> list[Figure]:
    group = _group(options)
    figures = []
    for what, unit, attribute, target in (
        ("events applied", "/s", "per_s", COLD_RATE_TARGET if options.is_cold else RATE_TARGET),
        ("CPU of the worker per event", "µs", "worker_us", None),
        ("CPU of Postgres per event", "µs", "postgres_us", None),
        ("full-page images per event", "", "full_pages", None),
        ("checkpoints", "", "checkpoints", None),
        ("WAL per event", "B", "wal_bytes", None),
    ):
        ours, empty = (mean(getattr(turn, attribute) for turn in turns[side]) for side in (HISTORY, EMPTY))
        figures.append(Figure(group, what, ours, unit, empty, EMPTY, target))
    wal_bytes = mean(turn.wal_bytes for turn in turns[HISTORY])
    target = None if options.is_cold else WAL_TARGET_BYTES
    return [*figures, Figure(group, "WAL per event", wal_bytes, "B", target=target, at_most=True)]


def _group(options: Options) -> str:
    hot = f", the last {options.hot_days} days hot" if options.hot_days < options.days else ""
    cold = ", cold" if options.is_cold else ""
    return (
        f"{options.rows:,} events of {options.days} days{hot}, {options.ids} ids{cold}, "
        f"{options.events:,} more, checkpoints after {options.checkpoint_events:,}"
    )
