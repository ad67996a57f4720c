"""The worker's statements in Postgres, and the transaction around them."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg

from consumers.entry import Entry, Unreadable
from consumers.handlers import Connection
from consumers.settings import Settings
from contract.event import Event, Mode
from providers import PROVIDERS_WITH_MODE
from sql import columns, load
from sql.pooled_connection import connection_options
from sql.pooler import open_session

EVENTS = load("events")
DEAD_LETTERS = load("dead_letters")
LOCKS = load("locks")

_EVENT_COLUMNS = (
    "namespace", "event_id", "source", "provider", "type", "resource", "signed", "occurred_at", "received_at",
    "mode", "account", "origin",
)  # fmt: skip

MAIN_CONNECTIONS = 2
"""The connections of a worker, without those of its side lane."""

DEAD_LETTER_REASON_CHARS_MAX = 2000
TRACEBACK_CHARS_MAX = 50_000
"""How much of a reason is kept, and of a traceback: its end, where the error is."""


async def open_pool(
    settings: Settings, consumer: str, connections_max: int | None = None, lock_timeout_s: float | None = None
) -> "asyncpg.Pool[Any]":
    """Return a pool that connects when first used, with limits on both sides. Postgres may be down now.

    `connections_max`: those of a worker's batches and side lane unless given.
    `lock_timeout_s`: how long a statement may wait for a lock of others; BATCH_LOCK_TIMEOUT_MS unless given.

    Its connections raise PoolerError where a pooler takes these limits away.
    """
    return await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        connect=open_session,
        **connection_options(settings.database_pooler),
        min_size=0,
        max_size=connections_max or MAIN_CONNECTIONS + settings.side_lane_max,
        timeout=settings.acquire_timeout_s,
        command_timeout=settings.statement_timeout_s + settings.row_lock_timeout_s,
        server_settings={
            "application_name": f"payments {consumer}",
            "timezone": "UTC",
            "synchronous_commit": "on",
            "statement_timeout": f"{settings.statement_timeout_s:.3f}s",
            "lock_timeout": f"{1000 * lock_timeout_s:.0f}ms"
            if lock_timeout_s
            else f"{settings.batch_lock_timeout_ms}ms",
            "idle_in_transaction_session_timeout": f"{settings.transaction_idle_s:.3f}s",
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        },
    )


@asynccontextmanager
async def exclusive_transaction(
    pool: "asyncpg.Pool[Any]", entries: Sequence[Entry], acquire_timeout_s: float, lock_timeout_s: float | None = None,
    began_in: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[tuple[Connection, datetime]]:  # fmt: skip
    """Open a transaction that excludes all others on the entries' resources, even if their Redis locks have expired.

    Yields the connection and the server that is behind it: when it started.
    `lock_timeout_s`: how long it may wait for a lock of others; BATCH_LOCK_TIMEOUT_MS unless given.
    `began_in` is called with the id of the server's process, before anything can wait, where this limit is given.
    """
    async with (
        pool.acquire(timeout=acquire_timeout_s) as connection,
        connection.transaction(isolation="read_committed"),
    ):
        if lock_timeout_s is not None:
            began = await connection.fetchrow(*LOCKS.bind("wait_for_locks", limit=f"{lock_timeout_s:.3f}s"))
            began_in(began["pid"])
        yield connection, await exclude_others(connection, entries)


async def exclude_others(connection: Connection, entries: Sequence[Entry]) -> datetime:
    """Wait until no other transaction works on the entries' resources, and exclude others until this one ends.

    Return when the server was started.
    """
    events = [entry.event for entry in entries]
    started_at: datetime = await connection.fetchval(
        *EVENTS.bind("lock_resources", **columns(events, "namespace", "resource"))
    )
    return started_at


async def find_lock_holder(pool: "asyncpg.Pool[Any]", server_pid: int, acquire_timeout_s: float) -> str | None:
    """Return which session holds a lock that this server process waits for, as words; None if it waits for none."""
    async with pool.acquire(timeout=acquire_timeout_s) as connection:
        row = await connection.fetchrow(*LOCKS.bind("find_lock_holder", pid=server_pid))
    if row is None:
        return None
    if row["state"] is None:  # only a role with pg_read_all_stats sees other roles' sessions
        return f"process {row['pid']} of Postgres"
    program = f"{row['application_name']}, " if row["application_name"] else ""
    return f"process {row['pid']} of Postgres ({program}{row['state']} for {row['state_s']} s)"


async def claim(
    connection: Connection, entries: Sequence[Entry], is_of_other_mode: Callable[[Event], bool]
) -> list[Entry]:
    """Insert the events that nobody has applied, and return their entries: those are to be applied now.

    Those of the other mode than their source are recorded as such: they will move nothing. An event that does not say
    its mode is returned with that of its payment, where events of the other mode were about it.
    """
    events = [entry.event for entry in entries]
    rows = await connection.fetch(
        *EVENTS.bind("claim_events", **columns(entries, "entry_id"), **columns(events, *_EVENT_COLUMNS))
    )
    ours = {row[0] for row in rows}
    claimed = await _with_modes([entry for entry in entries if entry.entry_id in ours], connection, is_of_other_mode)
    if others := [entry.event for entry in claimed if is_of_other_mode(entry.event)]:
        await connection.execute(
            *EVENTS.bind("record_other_mode", **columns(others, "namespace", "event_id", "source", "mode", "resource"))
        )
    return claimed


async def _with_modes(
    claimed: list[Entry], connection: Connection, is_of_other_mode: Callable[[Event], bool]
) -> list[Entry]:
    """Return the entries; an event without a mode gets the one that its payment is known to have."""
    silent = [entry.event for entry in claimed if _leaves_out_mode(entry.event)]
    if not silent:
        return claimed
    rows = await connection.fetch(
        *EVENTS.bind("find_payments_of_other_mode", **columns(silent, "namespace", "resource"))
    )
    modes: dict[tuple[str, str], Mode | None] = {(row["namespace"], row["resource"]): row["mode"] for row in rows}
    batch = [entry.event for entry in claimed]
    modes |= {(event.namespace, event.resource): event.mode for event in batch if is_of_other_mode(event)}
    if not modes:
        return claimed
    return [
        replace(entry, event=replace(entry.event, mode=modes.get((entry.event.namespace, entry.event.resource))))
        if _leaves_out_mode(entry.event) else entry
        for entry in claimed
    ]  # fmt: skip


def _leaves_out_mode(event: Event) -> bool:
    return event.mode is None and event.provider in PROVIDERS_WITH_MODE


async def keep_payloads(connection: Connection, claimed: Sequence[Entry]) -> None:
    """Keep the signed bytes of claimed entries, and close the open dead letters of their events."""
    if not claimed:
        return
    events = [entry.event for entry in claimed]
    keys = columns(events, "namespace", "event_id")
    headers = [json.dumps(dict(event.headers)) if event.headers else "{}" for event in events]
    await connection.execute(
        *EVENTS.bind("insert_payloads", **keys, **columns(events, "received_at", "body"), headers=headers)
    )
    await connection.execute(*DEAD_LETTERS.bind("close_replayed_dead_letters", **keys))


async def record_duplicates(connection: Connection, entries: Sequence[Entry]) -> None:
    """Record entries whose event was applied from another entry."""
    if not entries:
        return
    events = [entry.event for entry in entries]
    await connection.execute(
        *EVENTS.bind(
            "record_duplicates",
            **columns(entries, "entry_id"),
            **columns(events, "namespace", "event_id", "source", "received_at"),
        )
    )


async def read_applied_events(
    connection: Connection, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Event]:
    """Return applied events by namespace and event id. Where a payload is not kept any more, `body` and `headers` are
    empty.
    """
    rows = await connection.fetch(
        *EVENTS.bind(
            "find_applied_events",
            namespace=[namespace for namespace, _ in wanted],
            event_id=[event_id for _, event_id in wanted],
        )
    )
    return {(row["namespace"], row["event_id"]): _event(row) for row in rows}


def _event(row: "asyncpg.Record[Any]") -> Event:
    values = dict(row)
    headers, body = values.pop("headers"), values.pop("body")
    return Event(**values, body=body or b"", headers=json.loads(headers) if headers else {})


async def dead_letter(connection: Connection, entry: Entry | Unreadable, reason: str, traceback: str) -> bool:
    """Write an entry to the dead letters. Return whether it is there now: not if its event was applied."""
    event = entry.event if isinstance(entry, Entry) else None
    await connection.execute(
        *DEAD_LETTERS.bind(
            "insert_dead_letter",
            entry_id=entry.entry_id,
            namespace=event and event.namespace,
            event_id=event and event.event_id,
            source=event and event.source,
            type=event and event.type,
            resource=event and event.resource,
            reason=_storable(reason[:DEAD_LETTER_REASON_CHARS_MAX]),
            traceback=_storable(traceback[-TRACEBACK_CHARS_MAX:]),
            attempts=entry.attempt,
            field_names=list(entry.fields.keys()),
            field_values=list(entry.fields.values()),
        )
    )
    return bool(await find_dead_lettered(connection, [entry]))


async def find_dead_lettered(connection: Connection, entries: Sequence[Entry | Unreadable]) -> set[str]:
    """Return the ids of those entries that are in the dead letters."""
    ids = [entry.entry_id for entry in entries]
    return {row[0] for row in await connection.fetch(*DEAD_LETTERS.bind("find_dead_lettered", entry_ids=ids))}


def _storable(text: str) -> str:
    """Return the text without characters that Postgres cannot hold."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
