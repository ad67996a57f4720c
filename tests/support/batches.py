"""Batches as the named queries take them: one array per column, one element per event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from sql import load
from tests.support.events import RECEIVED_AT

EVENTS = load("events")


@dataclass(frozen=True, slots=True)
class Row:
    """One event in one entry of the stream."""

    event_id: str
    entry_id: str
    resource: str = "pi_1"
    namespace: str = "stripe"
    received_at: datetime = RECEIVED_AT


async def lock(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
    await connection.execute(EVENTS["lock_resources"], [row.namespace for row in rows], [row.resource for row in rows])


async def claim(connection: asyncpg.Connection, rows: Sequence[Row]) -> set[str]:
    """The entries that are ours."""
    claimed = await connection.fetch(EVENTS["claim_events"], *claim_arguments(rows))
    return {record["entry_id"] for record in claimed}


def claim_arguments(rows: Sequence[Row]) -> list[list[object]]:
    return [
        [row.namespace for row in rows],
        [row.event_id for row in rows],
        ["stripe"] * len(rows),
        ["stripe"] * len(rows),
        [row.entry_id for row in rows],
        ["payment_intent.succeeded"] * len(rows),
        [row.resource for row in rows],
        ["body"] * len(rows),
        [None] * len(rows),
        [row.received_at for row in rows],
    ]


async def keep_payloads(connection: asyncpg.Connection, rows: Sequence[Row], body: bytes = b"{}") -> None:
    await connection.execute(
        EVENTS["insert_payloads"],
        [row.namespace for row in rows],
        [row.event_id for row in rows],
        [row.received_at for row in rows],
        ["{}"] * len(rows),
        [body] * len(rows),
    )


async def record_duplicates(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
    await connection.execute(EVENTS["record_duplicates"], *duplicate_arguments(rows))


def duplicate_arguments(rows: Sequence[Row]) -> list[list[object]]:
    return [
        [row.entry_id for row in rows],
        [row.namespace for row in rows],
        [row.event_id for row in rows],
        ["stripe"] * len(rows),
        [row.received_at for row in rows],
    ]
