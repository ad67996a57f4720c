"""Batches as the named queries take them: one array per column, one element per event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from sql import columns, load
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
    await connection.execute(*EVENTS.bind("lock_resources", **columns(rows, "namespace", "resource")))


async def claim(connection: asyncpg.Connection, rows: Sequence[Row]) -> set[str]:
    """Claim the events and return the entries to be applied."""
    claimed = await connection.fetch(*EVENTS.bind("claim_events", **claim_columns(rows)))
    return {record["entry_id"] for record in claimed}


def claim_columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    same = {
        "source": "stripe", "provider": "stripe", "type": "payment_intent.succeeded", "signed": "body",
        "occurred_at": None, "mode": None, "account": "", "origin": "delivery",
    }  # fmt: skip
    return columns(rows, "namespace", "event_id", "entry_id", "resource", "received_at") | {
        name: [value] * len(rows) for name, value in same.items()
    }


async def keep_payloads(connection: asyncpg.Connection, rows: Sequence[Row], body: bytes = b"{}") -> None:
    await connection.execute(
        *EVENTS.bind(
            "insert_payloads",
            **columns(rows, "namespace", "event_id", "received_at"),
            headers=["{}"] * len(rows),
            body=[body] * len(rows),
        )
    )


async def record_duplicates(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
    await connection.execute(*EVENTS.bind("record_duplicates", **duplicate_columns(rows)))


def duplicate_columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return columns(rows, "entry_id", "namespace", "event_id", "received_at") | {"source": ["stripe"] * len(rows)}
