"""What a worker tells Postgres, statement by statement. The transaction around them is the worker's."""

import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from consumers.entry import Entry, Unreadable
from consumers.handlers import Connection
from consumers.settings import Settings
from contract.event import Event
from sql import load

EVENTS = load("events")
DEAD_LETTERS = load("dead_letters")

CONNECTIONS_MAX = 2
PARTITION_MONTHS_AHEAD = 2
REASON_CHARS_MAX = 2000
TRACEBACK_CHARS_MAX = 50_000
"""How much is kept of why an entry could not be applied; of a traceback its end, where the error is."""


async def open_pool(settings: Settings, consumer: str) -> "asyncpg.Pool[Any]":
    """A pool that connects when first used, with every limit set on both sides. Postgres may be down now."""
    return await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=0,
        max_size=CONNECTIONS_MAX,
        timeout=settings.acquire_timeout_s,
        command_timeout=settings.statement_timeout_s + settings.row_lock_timeout_s,
        server_settings={
            "application_name": f"payments {consumer}",
            "timezone": "UTC",
            "synchronous_commit": "on",
            "statement_timeout": f"{settings.statement_timeout_s:.3f}s",
            "lock_timeout": f"{settings.row_lock_timeout_s:.3f}s",
            "idle_in_transaction_session_timeout": f"{settings.transaction_idle_s:.3f}s",
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        },
    )


async def exclude_others(connection: Connection, entries: Sequence[Entry]) -> None:
    """Waits until no other transaction works on the entries' resources, and keeps others out until this one ends."""
    events = [entry.event for entry in entries]
    await connection.execute(EVENTS["lock_resources"], [e.namespace for e in events], [e.resource for e in events])


async def claim(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Inserts the events that nobody has applied, with their payloads; returns the entries that are ours to apply."""
    events = [entry.event for entry in entries]
    rows = await connection.fetch(
        EVENTS["claim_events"],
        [event.namespace for event in events],
        [event.event_id for event in events],
        [event.source for event in events],
        [event.provider for event in events],
        [entry.entry_id for entry in entries],
        [event.type for event in events],
        [event.resource for event in events],
        [event.signed for event in events],
        [event.occurred_at for event in events],
        [event.received_at for event in events],
    )
    ours = {row[0] for row in rows}
    return [entry for entry in entries if entry.entry_id in ours]


async def keep_payloads(connection: Connection, claimed: Sequence[Entry]) -> None:
    """Keeps the signed bytes of claimed entries, and closes what dead letters their events had left open."""
    if not claimed:
        return
    events = [entry.event for entry in claimed]
    namespaces, event_ids = [event.namespace for event in events], [event.event_id for event in events]
    await connection.execute(
        EVENTS["insert_payloads"],
        namespaces,
        event_ids,
        [event.received_at for event in events],
        [json.dumps(dict(event.headers)) if event.headers else "{}" for event in events],
        [event.body for event in events],
    )
    await connection.execute(DEAD_LETTERS["settle_dead_letters"], namespaces, event_ids)


async def record_duplicates(connection: Connection, entries: Sequence[Entry]) -> None:
    """Records entries whose event another entry has brought."""
    if not entries:
        return
    events = [entry.event for entry in entries]
    await connection.execute(
        EVENTS["record_duplicates"],
        [entry.entry_id for entry in entries],
        [event.namespace for event in events],
        [event.event_id for event in events],
        [event.source for event in events],
        [event.received_at for event in events],
    )


async def read_kept(connection: Connection, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Event]:
    """Events that were applied, by namespace and event id, as they were. Where a payload is not kept any more, `body`
    and `headers` are empty.
    """
    rows = await connection.fetch(
        EVENTS["find_kept"], [namespace for namespace, _ in wanted], [event_id for _, event_id in wanted]
    )
    return {(row["namespace"], row["event_id"]): _event(row) for row in rows}


def _event(row: "asyncpg.Record[Any]") -> Event:
    values = dict(row)
    headers, body = values.pop("headers"), values.pop("body")
    return Event(**values, body=body or b"", headers=json.loads(headers) if headers else {})


async def dead_letter(connection: Connection, entry: Entry | Unreadable, reason: str, traceback: str) -> bool:
    """Writes an entry to the dead letters, whole. Tells whether it lies there now: not if its event is applied."""
    event = entry.event if isinstance(entry, Entry) else None
    await connection.execute(
        DEAD_LETTERS["bury"],
        entry.entry_id,
        event and event.namespace,
        event and event.event_id,
        event and event.source,
        event and event.type,
        event and event.resource,
        _storable(reason[:REASON_CHARS_MAX]),
        _storable(traceback[-TRACEBACK_CHARS_MAX:]),
        entry.deliveries,
        list(entry.fields.keys()),
        list(entry.fields.values()),
    )
    return bool(await find_dead_lettered(connection, [entry]))


async def find_dead_lettered(connection: Connection, entries: Sequence[Entry | Unreadable]) -> set[str]:
    """The ids of those entries that lie in the dead letters."""
    ids = [entry.entry_id for entry in entries]
    return {row[0] for row in await connection.fetch(DEAD_LETTERS["find_buried"], ids)}


async def ensure_partitions(connection: Connection) -> None:
    """Makes the payloads' partitions of the coming months, long before the first row needs one."""
    await connection.execute(EVENTS["ensure_payload_partitions"], PARTITION_MONTHS_AHEAD)


def _storable(text: str) -> str:
    """Text that Postgres can hold, whatever an exception says of itself."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
