"""What Postgres recorded of an id. All of it is read in one snapshot."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from contract.accounts import PostingRules
from contract.event import Event
from operations.why.event_facts import NOT_KEPT, read_facts
from operations.why.model import (
    Applied,
    Conflict,
    Dispute,
    Duplicate,
    Found,
    HeldBack,
    Letter,
    Meant,
    PaymentFound,
    State,
    Subject,
    Transfer,
)
from operations.why.query import Wanted
from sql import load

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

WHY = load("why")

SCAN_S = 5.0
"""How long a table without an index for this question is read, from its newest rows on."""

SCANS = 2
"""How many such tables there are."""

SCAN_PAGES = 8192
"""Pages of one such question: 64 MiB."""

ROWS_MAX = 500
"""Rows shown of each table."""

EVENTS_MAX = 200
"""Events of one payment that are shown; the bytes of each are read once more."""

PREFETCH_ROWS = 10
"""Events whose bytes are in memory at a time."""

Row = TypeVar("Row")


class PostgresLook:
    """One look, in a transaction that sees one state and changes nothing."""

    def __init__(self, connection: "Connection", posting_rules: Mapping[str, PostingRules], found: Found) -> None:
        self._connection = connection
        self._posting_rules = posting_rules
        self._found = found

    async def find(self, wanted: Sequence[Wanted], namespaces: set[str], meant: Meant) -> None:
        """Adds what is meant: by keys, and where those do not tell, by reading the events."""
        known = {row["namespace"] for row in await self._connection.fetch(WHY["list_namespaces"])}
        for each in wanted:
            rows = await self._connection.fetch(
                WHY["find_subjects"], each.within(namespaces | known), each.id, each.movements
            )
            for kind, namespace, id_ in rows:
                if each.namespace in (None, namespace):
                    (meant.payments if kind == "payment" else meant.events).add(Subject(namespace, id_))
        if meant.payments or not meant.events:
            for id_ in sorted({payment.id for payment in meant.payments} or {each.id for each in wanted}):
                await self._scan(id_, wanted, meant)
        rows = await self._connection.fetch(WHY["find_events_of_payments"], *_columns(meant.payments), EVENTS_MAX)
        meant.events.update(Subject(row["namespace"], row["event_id"]) for row in rows)

    async def look(self, meant: Meant) -> None:
        """Adds what is known of these events, and of the payments and those of the events."""
        events = meant.events
        await self._read_events(sorted(events)[:EVENTS_MAX])
        if len(events) > EVENTS_MAX:
            self._found.notes.append(f"there are {len(events)} events; {EVENTS_MAX} of them are shown")
        await self._read_letters(events)
        await self._read_duplicates(events)
        of_events = {event.payment for event in self._found.events.values() if event.payment}
        await self._read_payments(meant.payments | of_events)

    async def _read_events(self, events: Sequence[Subject]) -> None:
        async for row in self._connection.cursor(WHY["read_events"], *_columns(events), prefetch=PREFETCH_ROWS):
            event = self._found.event(Subject(row["namespace"], row["event_id"]))
            event.applied = _made(Applied, row)
            event.facts, event.facts_problem = self._facts(row)

    def _facts(self, row: "asyncpg.Record[Any]") -> tuple[Sequence[Any], str | None]:
        if row["body"] is None:
            return (), NOT_KEPT
        names = ("source", "namespace", "provider", "event_id", "type", "resource", "occurred_at", "received_at",
                 "signed", "body")  # fmt: skip
        return read_facts(
            Event(**{name: row[name] for name in names}, headers=json.loads(row["headers"])), self._posting_rules
        )

    async def _read_letters(self, events: set[Subject]) -> None:
        entry_ids = [event.id for event in events if not event.namespace]
        for row in await self._connection.fetch(WHY["read_dead_letters"], *_columns(events), entry_ids):
            subject = Subject(row["namespace"] or "", row["event_id"] or row["entry_id"])
            self._found.event(subject).letters.append(_made(Letter, row))

    async def _read_duplicates(self, events: set[Subject]) -> None:
        async def read(start: tuple[int, int], end: tuple[int, int]) -> None:
            namespaces, event_ids = _columns(events)
            scan = WHY.bind("scan_duplicates", first_page=start, end_page=end, namespace=namespaces, event_id=event_ids)
            for row in await self._connection.fetch(*scan):
                self._found.event(Subject(row["namespace"], row["event_id"])).duplicates.append(_made(Duplicate, row))

        if await self._pages("duplicates", read):
            self._found.notes.append(
                f"not all duplicates were looked through within {SCAN_S:g} s; older ones may be missing"
            )
        for event in self._found.events.values():
            event.duplicates.sort(key=lambda duplicate: duplicate.recorded_at)

    async def _read_payments(self, payments: set[Subject]) -> None:
        columns = _columns(payments)
        for row in await self._connection.fetch(WHY["read_payments"], *columns):
            self._payment(row).state = _made(State, row)
        for name, kind, rows_of in _TABLES:
            rows = await self._connection.fetch(WHY[name], *columns, ROWS_MAX)
            for row in rows:
                rows_of(self._payment(row)).append(_made(kind, row))
            if len(rows) == ROWS_MAX:
                self._found.notes.append(f"{name.removeprefix('read_')}: the first {ROWS_MAX} are shown")

    def _payment(self, row: "asyncpg.Record[Any]") -> PaymentFound:
        return self._found.payment(Subject(row["namespace"], row["payment_id"]))

    async def _scan(self, id_: str, wanted: Sequence[Wanted], meant: Meant) -> None:
        """Events that no other table names: of no money, or known by their entry alone."""

        async def read(start: tuple[int, int], end: tuple[int, int]) -> None:
            for namespace, event_id, resource in await self._connection.fetch(WHY["scan_events"], start, end, id_):
                if not any(each.namespace in (None, namespace) for each in wanted):
                    continue
                meant.events.add(Subject(namespace, event_id))
                if resource == id_:
                    meant.payments.add(Subject(namespace, id_))

        if first := await self._pages("events", read):
            oldest = await self._connection.fetchval(WHY["find_oldest_in_pages"], (first, 0), (first + SCAN_PAGES, 0))
            how_far = f"in {SCAN_S:g} s the events were looked through back to {oldest or 'some time ago'}"
            self._found.notes.append(f"{how_far}; older ones that moved no money may be missing")

    async def _pages(self, table: str, read: Callable[[tuple[int, int], tuple[int, int]], Any]) -> int:
        """Reads a table from its end towards its beginning; the first page that was read, 0 where all were."""
        end: int = (await self._connection.fetchrow(WHY["count_pages"]))[table]
        deadline = time.monotonic() + SCAN_S
        while end > 0:
            start = max(0, end - SCAN_PAGES)
            await read((start, 0), (end, 0))
            end = start
            if time.monotonic() > deadline:
                return end
        return 0


_TABLES: tuple[tuple[str, type[Any], Callable[[PaymentFound], list[Any]]], ...] = (
    ("read_transfers", Transfer, lambda payment: payment.transfers),
    ("read_conflicts", Conflict, lambda payment: payment.conflicts),
    ("read_held_back", HeldBack, lambda payment: payment.held_back),
    ("read_disputes", Dispute, lambda payment: payment.disputes),
)


def _made(kind: type[Row], row: "asyncpg.Record[Any]") -> Row:
    """The dataclass of a row that has all its columns, and maybe more."""
    return kind(**{field.name: row[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def _columns(subjects: Sequence[Subject] | set[Subject]) -> tuple[list[str], list[str]]:
    ordered = sorted(subjects)
    return [subject.namespace for subject in ordered], [subject.id for subject in ordered]
