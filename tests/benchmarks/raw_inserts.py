"""The same rows as a worker makes, inserted without any ritual: as sets, or each event in a transaction of its own."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from contract.event import Event
from sql import Queries, parse
from sql.connect import connect
from tests.support.database import CONNECT_TIMEOUT_S

RAW = Queries("raw_inserts", parse(Path(__file__).with_suffix(".sql").read_text(), "raw_inserts.sql"))

AMOUNT = 1999
"""What each event of tests.support.events says was paid."""

Row = tuple[Any, ...]


def rows_of(event: Event, number: int) -> tuple[Row, Row, Row, Row]:
    """Its rows in events, payloads, payments and transfers."""
    return (
        (event.namespace, event.event_id, event.source, event.provider, f"{number}-0", event.type, event.resource,
         event.signed, event.occurred_at, event.received_at),
        (event.namespace, event.event_id, event.received_at, "{}", event.body),
        (event.namespace, event.resource, event.provider, "EUR", AMOUNT, AMOUNT, True, True,
         event.occurred_at, event.occurred_at),
        (event.namespace, f"capture:{event.resource}", event.resource, f"provider:{event.source}", "merchant", AMOUNT,
         "EUR", event.event_id),
    )  # fmt: skip


async def insert_sets(url: str, events: Sequence[Event], batch_size: int) -> float:
    """Each batch as four sets in one transaction. Returns the seconds it took, with everything prepared before."""
    rows = [rows_of(event, number) for number, event in enumerate(events)]
    batches = []
    for first in range(0, len(rows), batch_size):
        per_table = zip(*rows[first : first + batch_size], strict=True)
        batches.append([list(map(list, zip(*table, strict=True))) for table in per_table])
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        statements = await _prepared(connection, "events", "payloads", "payments", "transfers")
        began_s = time.perf_counter()
        for batch in batches:
            async with connection.transaction():
                for statement, columns in zip(statements, batch, strict=True):
                    await statement.fetch(*columns)
        return time.perf_counter() - began_s


async def insert_one_by_one(url: str, events: Sequence[Event]) -> float:
    """Each event in one transaction of four plain inserts. Returns the seconds it took."""
    rows = [rows_of(event, number) for number, event in enumerate(events)]
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        statements = await _prepared(connection, "event", "payload", "payment", "transfer")
        began_s = time.perf_counter()
        for tables in rows:
            async with connection.transaction():
                for statement, row in zip(statements, tables, strict=True):
                    await statement.fetch(*row)
        return time.perf_counter() - began_s


async def what_was_made(url: str) -> dict[str, int]:
    """Counts and sums over the tables."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        return {name: int(value) for name, value in (await connection.fetchrow(RAW["made"])).items()}


async def _prepared(connection: asyncpg.Connection, *names: str) -> list[Any]:
    return [await connection.prepare(RAW[name]) for name in names]
