"""Everything that Postgres recorded about an id, read in one snapshot."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from contract.accounts import PostingRules
from contract.event import Event
from operations.reconcile.store import find_findings
from operations.why.acts import Acts
from operations.why.confirmation_record import ConfirmationRecord
from operations.why.event_facts import ERASED, NOT_KEPT, OTHER_MODE, read_event_facts
from operations.why.model import (
    AppliedEvent,
    BookedTransfer,
    ConflictRecord,
    DeadLetterRecord,
    DisputeRecord,
    DuplicateEntry,
    HeldBackFact,
    Matches,
    PaymentDetails,
    PaymentState,
    RecordedAct,
    SearchResult,
    SearchTime,
    Subject,
)
from operations.why.query import IdQuery
from sql import load

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

CONFIRMATIONS = load("confirmations")
WHY = load("why")

SCANS = 3
"""Number of tables that are scanned, because they have no index for this query."""

ROWS_MAX = 500
"""Rows shown per table."""

EVENTS_MAX = 200
"""Events shown of one payment. The body of each is read and parsed again."""

PREFETCH_ROWS = 10
"""Events whose bodies are in memory at a time."""

Row = TypeVar("Row")


class PostgresSource:
    """Reads about one id, in a read-only transaction that sees one snapshot."""

    def __init__(
        self, connection: "Connection", rules: Mapping[str, PostingRules], result: SearchResult, time_: SearchTime
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._result = result
        self._time = time_

    async def add_matches(self, queries: Sequence[IdQuery], namespaces: set[str], matches: Matches) -> None:
        """Resolve the id by indexed lookups. If they find a payment or nothing, scan the recent events too."""
        known = {row["namespace"] for row in await self._connection.fetch(WHY["list_namespaces"])}
        for query in queries:
            find = WHY.bind(
                "find_subjects",
                namespaces=query.within(namespaces | known),
                id=query.id,
                transfer_keys=query.transfer_keys,
            )
            for kind, namespace, id_ in await self._connection.fetch(*find):
                if query.namespace in (None, namespace):
                    (matches.payments if kind == "payment" else matches.events).add(Subject(namespace, id_))
        if self._time.scans_events and (matches.payments or not matches.events):
            for id_ in sorted({payment.id for payment in matches.payments} or {query.id for query in queries}):
                await self._scan_events(id_, queries, matches)
        columns = _columns(matches.payments, "payment_id")
        rows = await self._connection.fetch(*WHY.bind("find_events_of_payments", **columns, limit=EVENTS_MAX))
        matches.events.update(Subject(row["namespace"], row["event_id"]) for row in rows)

    async def read_details(self, matches: Matches) -> None:
        """Read everything about these events, these payments, and the payments of the events into the result."""
        events = matches.events
        await self._read_events(sorted(events)[:EVENTS_MAX])
        if len(events) > EVENTS_MAX:
            self._result.notes.append(f"there are {len(events)} events; {EVENTS_MAX} of them are shown")
        await self._read_confirmations(events)
        await self._read_dead_letters(events)
        await self._read_duplicates(events)
        for finding in await find_findings(self._connection, sorted(events)):
            self._result.event(Subject(finding.namespace, finding.event_id)).findings.append(finding)
        of_events = {event.payment for event in self._result.events.values() if event.payment}
        await self._read_payments(matches.payments | of_events)
        await self._read_acts()

    async def _read_events(self, events: Sequence[Subject]) -> None:
        query = WHY.bind("read_events", **_columns(events, "event_id"))
        async for row in self._connection.cursor(*query, prefetch=PREFETCH_ROWS):
            event = self._result.event(Subject(row["namespace"], row["event_id"]))
            event.applied = _made(AppliedEvent, row)
            event.facts, event.facts_problem = ((), OTHER_MODE) if row["is_of_other_mode"] else self._facts(row)

    def _facts(self, row: "asyncpg.Record[Any]") -> tuple[Sequence[Any], str | None]:
        if row["body"] is None:
            return (), NOT_KEPT
        names = ("source", "namespace", "provider", "event_id", "type", "resource", "occurred_at", "received_at",
                 "signed", "body")  # fmt: skip
        event = Event(**{name: row[name] for name in names}, headers=json.loads(row["headers"]))
        return read_event_facts(event, self._rules)

    async def _read_confirmations(self, events: set[Subject]) -> None:
        query = CONFIRMATIONS.bind("read_confirmations", **_columns(events, "event_id"))
        for row in await self._connection.fetch(*query):
            sides = {name: json.loads(row[name] or "[]") for name in ("reported", "answered")}
            self._result.event(Subject(row["namespace"], row["event_id"])).confirmation = _made(
                ConfirmationRecord, {**row, **sides}
            )

    async def _read_dead_letters(self, events: set[Subject]) -> None:
        entry_ids = [event.id for event in events if not event.namespace]
        query = WHY.bind("read_dead_letters", **_columns(events, "event_id"), entry_ids=entry_ids)
        for row in await self._connection.fetch(*query):
            subject = Subject(row["namespace"] or "", row["event_id"] or row["entry_id"])
            self._result.event(subject).dead_letters.append(_made(DeadLetterRecord, row))

    async def _read_duplicates(self, events: set[Subject]) -> None:
        async def read(start: tuple[int, int], end: tuple[int, int]) -> None:
            scan = WHY.bind("scan_duplicates", first_page=start, end_page=end, **_columns(events, "event_id"))
            for row in await self._connection.fetch(*scan):
                event = self._result.event(Subject(row["namespace"], row["event_id"]))
                event.duplicates.append(_made(DuplicateEntry, row))

        if await self._scan_pages("duplicates", read):
            self._result.notes.append(
                f"not all duplicates were searched within {self._time.table_s:g} s; older ones may be missing"
            )
        for event in self._result.events.values():
            event.duplicates.sort(key=lambda duplicate: duplicate.recorded_at)

    async def _read_payments(self, payments: set[Subject]) -> None:
        columns = _columns(payments, "payment_id")
        for row in await self._connection.fetch(*WHY.bind("read_payments", **columns)):
            self._payment(row).state = _made(PaymentState, row)
        for name, kind, rows_of in _TABLES:
            rows = await self._connection.fetch(*WHY.bind(name, **columns, limit=ROWS_MAX))
            for row in rows:
                rows_of(self._payment(row)).append(_made(kind, row))
            if len(rows) == ROWS_MAX:
                self._result.notes.append(f"{name.removeprefix('read_')}: the first {ROWS_MAX} are shown")

    async def _read_acts(self) -> None:
        result = self._result
        subjects = [f"dead_letter:{each.id}" for event in result.events.values() for each in event.dead_letters]
        subjects += [f"payment:{payment}" for payment in result.payments]
        query = WHY.bind("read_acts", subjects=subjects, events=list(map(str, result.events)), limit=ROWS_MAX)
        rows = await self._connection.fetch(*query)
        result.acts = [RecordedAct(**{**row, "details": json.loads(row["details"])}) for row in reversed(rows)]
        if len(rows) == ROWS_MAX:
            result.notes.append(f"acts: the latest {ROWS_MAX} are shown")
        acts = Acts(result.acts)
        for event in result.events.values():
            if event.facts_problem == NOT_KEPT and acts.erased_payload_of(event.subject):
                event.facts_problem = ERASED

    def _payment(self, row: "asyncpg.Record[Any]") -> PaymentDetails:
        return self._result.payment(Subject(row["namespace"], row["payment_id"]))

    async def _scan_events(self, id_: str, queries: Sequence[IdQuery], matches: Matches) -> None:
        """Find events that no other table names: those that moved no money, or are known by their entry alone."""
        for table, oldest_of in _SCANNED.items():
            if not await self._scan_table(table, oldest_of, id_, queries, matches):
                break

    async def _scan_table(
        self, table: str, oldest_of: str, id_: str, queries: Sequence[IdQuery], matches: Matches
    ) -> bool:  # fmt: skip
        """Scan one table of events. Return whether it was scanned to its beginning."""

        async def read(start: tuple[int, int], end: tuple[int, int]) -> None:
            scan = WHY.bind(f"scan_{table}", first_page=start, end_page=end, id=id_)
            for namespace, event_id, resource in await self._connection.fetch(*scan):
                if not any(query.namespace in (None, namespace) for query in queries):
                    continue
                matches.events.add(Subject(namespace, event_id))
                if resource == id_:
                    matches.payments.add(Subject(namespace, id_))

        if first := await self._scan_pages(table, read):
            find = WHY.bind(oldest_of, first_page=(first, 0), end_page=(first + self._time.table_pages, 0))
            oldest = await self._connection.fetchval(*find)
            how_far = f"in {self._time.table_s:g} s the events were searched back to {oldest or 'some time ago'}"
            self._result.notes.append(f"{how_far}; older ones that moved no money may be missing")
        return not first

    async def _scan_pages(self, table: str, read: Callable[[tuple[int, int], tuple[int, int]], Any]) -> int:
        """Read a table from its end towards its beginning. Return the first page read, 0 if all pages were."""
        end: int = (await self._connection.fetchrow(WHY["count_pages"]))[table]
        deadline = time.monotonic() + self._time.table_s
        while end > 0:
            start = max(0, end - self._time.table_pages)
            await read((start, 0), (end, 0))
            end = start
            if time.monotonic() > deadline:
                return end
        return 0


_SCANNED = {"events": "find_oldest_in_pages", "events_archive": "find_oldest_in_pages_of_archive"}
"""The tables of events, the newer one first, and the query that says how far a scan has come."""

_TABLES: tuple[tuple[str, type[Any], Callable[[PaymentDetails], list[Any]]], ...] = (
    ("read_transfers", BookedTransfer, lambda payment: payment.transfers),
    ("read_conflicts", ConflictRecord, lambda payment: payment.conflicts),
    ("read_held_back", HeldBackFact, lambda payment: payment.held_back),
    ("read_disputes", DisputeRecord, lambda payment: payment.disputes),
)


def _made(kind: type[Row], row: "Mapping[str, Any] | asyncpg.Record[Any]") -> Row:
    """Build the dataclass from a row, which may have more columns than it has fields."""
    return kind(**{field.name: row[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def _columns(subjects: Iterable[Subject], id_name: str) -> dict[str, list[str]]:
    """Return the namespaces and the ids as the two arrays that the queries take."""
    ordered = sorted(subjects)
    return {"namespace": [subject.namespace for subject in ordered], id_name: [subject.id for subject in ordered]}
