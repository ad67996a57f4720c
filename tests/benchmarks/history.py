"""A database with a long history, filled within minutes; kept in a folder and found there again, if one is given."""

import asyncio
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sql import Queries, parse
from sql.connect import Connection, connect
from sql.migrate import migrate
from sql.roles import grant_rights
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, as_worker
from tests.support.servers import PostgresServer

HISTORY = Queries("history", parse(Path(__file__).with_name("history.sql").read_text(), "history.sql"))

NAME = "history"
PASSWORD = "of-the-history"
"""Of a server on loopback: a later run opens the same folder with it."""

READ_ONLY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
             "max_wal_size": "8GB"}  # fmt: skip
"""Only reading is measured: filling may be careless, and nothing else may run meanwhile."""

MEMORY = "SET maintenance_work_mem = '1GB'; SET work_mem = '512MB'; SET search_path = public"
"""For building indexes, and for grouping events by payment."""

LARGE = ("fill_events", "fill_events_archive", "fill_payloads", "fill_payments", "fill_payments_archive",
         "fill_transfers", "fill_transfers_archive")  # fmt: skip
SMALL = ("fill_duplicates", "fill_dead_letters", "fill_conflicts", "fill_held_back", "fill_other_mode",
         "fill_operations")  # fmt: skip

AT_ONCE = 2
"""Tables that are filled, and indexes that are built, at a time."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many events, over how many days; those of the last `hot_days` are where workers insert."""

    rows: int
    days: int = 90
    hot_days: int = 90


@dataclass(frozen=True, slots=True)
class Subjects:
    """Ids of the things that pages are about."""

    event_id: str
    payment_id: str
    large_namespace: str
    conflict_namespace: str
    conflict_payment: str
    conflict_event: str
    conflict: int
    large_conflict: int
    dead_letter: int
    dead_event: str


async def make_history(postgres: PostgresServer, shape: Shape, name: str = NAME) -> str:
    """Fill a database with these events, unless the server has it, and return its address."""
    async with connect(postgres.database_url("postgres"), timeout_s=CONNECT_TIMEOUT_S) as admin:
        if name not in [each["datname"] for each in await admin.fetch("TABLE pg_database")]:
            await admin.execute(f"CREATE DATABASE {name}")
    url = postgres.database_url(name)
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        is_noted = await connection.fetchval(HISTORY["is_noted"])
        found = Shape(**await connection.fetchrow(HISTORY["read_history"])) if is_noted else None
        await migrate(connection, lock_wait_s=LOCK_WAIT_S)
        await grant_rights(connection, as_worker(url))
    if found is None:
        await _fill(url, shape)
    elif found != shape:
        raise SystemExit(f"the folder has another history: {found}")
    return url


async def find_subjects(url: str) -> Subjects:
    """Return what the pages are about."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        return Subjects(**await connection.fetchrow(HISTORY["find_subjects"]))


async def _fill(url: str, shape: Shape) -> None:
    began_s = time.monotonic()
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await connection.execute(MEMORY)
        for row in await connection.fetch(*_bound("list_months", shape)):
            await connection.execute(row["make"])
        indexes = await connection.fetch(HISTORY["list_indexes"])
        for row in reversed(indexes):
            await connection.execute(row["drop"])
        await _run(connection, "fill_numbers", shape)
        _say(f"{shape.rows:,} events are named", began_s)
        await _run_all(url, [_bound(name, shape) for name in LARGE])
        _say("the large tables are filled", began_s)
        await _run_all(url, [(row["again"],) for row in indexes if not row["is_reference"]])
        _say("the indexes are built", began_s)
        await _run_all(url, [_bound(name, shape) for name in SMALL])
        for row in indexes:
            if row["is_reference"]:
                await connection.execute(row["again"])
        await connection.execute("VACUUM (ANALYZE)")
        for name in ("drop_numbers", "note_history"):
            await _run(connection, name, shape)
    _say("the history is there", began_s)


def _bound(name: str, shape: Shape) -> tuple[object, ...]:
    values = asdict(shape)
    return HISTORY.bind(name, **{each: values[each] for each in HISTORY.describe(name).parameters})


async def _run(connection: Connection, name: str, shape: Shape) -> None:
    await connection.execute(*_bound(name, shape), timeout=None)


async def _run_all(url: str, statements: list[tuple[object, ...]]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(statement: tuple[object, ...]) -> None:
        async with turns, connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            await connection.execute(MEMORY)
            await connection.execute(*statement)

    await asyncio.gather(*map(run, statements))


def _say(what: str, began_s: float) -> None:
    sys.stderr.write(f"  {time.monotonic() - began_s:5.0f} s: {what}\n")
