"""One transaction of a worker: claims, bookings, calls of handlers, and what a batch leaves out of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from consumers import store
from consumers.acks import CommitResult
from consumers.entry import Entry
from consumers.handlers import Connection, Handlers, Outcome
from consumers.handlers.connection import commit_guard, ended_error
from consumers.handlers.exceptions import SlowCallsError
from consumers.in_flight import without
from consumers.observers import Observers
from consumers.part_size import PartSize
from consumers.settings import Settings

PART = "part_of_a_batch"
"""The savepoint's name: one that no handler uses for a savepoint of its own."""

NO_SAVEPOINT = (
    asyncpg.InFailedSQLTransactionError,
    asyncpg.NoActiveSQLTransactionError,
    asyncpg.InvalidSavepointSpecificationError,
)
"""The errors of a savepoint's release after a handler has ended the transaction, or hidden an error of its SQL."""

SLOW_CALLS_MAX = 10
"""Slow calls that one transaction waits for: then it commits what it has done, and lets go of its locks."""


@dataclass(slots=True)
class _Work:
    """What a transaction has done so far. `slow`: the id() of an event that is left out → the slow handler's name."""

    claimed: list[Entry] = field(default_factory=list)
    others: list[Entry] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    slow: dict[int, str] = field(default_factory=dict)
    waited: int = 0


class Transactions:
    """Applies entries, in one transaction each time."""

    def __init__(
        self, pool: "asyncpg.Pool[Any]", handlers: Handlers, settings: Settings, observers: Observers
    ) -> None:  # fmt: skip
        self._pool = pool
        self._handlers = handlers
        self._settings = settings
        self._durations = observers.metrics.durations
        self._progress = observers.progress
        self._hooks = observers.hooks
        self._calls = observers.calls
        self._spans = observers.spans
        self._asking = observers.asking
        self._part_size = PartSize()

    async def commit(self, entries: Sequence[Entry]) -> tuple[CommitResult, Mapping[int, str]]:
        """Claim the events that nobody has applied and apply them, but those whose handlers are slow.

        Return the result, and the slow handlers by the id() of each event that must leave the batch. Entries in neither
        are for the next transaction. Raise SlowCallsError where events must leave, and nothing of the others is kept.
        """
        work = _Work()
        size = self._part_size.of(len(entries))
        async with store.exclusive_transaction(self._pool, entries, self._settings.acquire_timeout_s) as (
            connection,
            server,
        ):
            if size < len(entries):
                async with commit_guard(connection):
                    for first in range(0, len(entries), size):
                        await self._do_part(connection, entries[first : first + size], work)
                        if work.waited >= SLOW_CALLS_MAX:
                            break
            else:
                await self._do_noting(connection, entries, work)
            result = await self._end(connection, work, server)
            ended_s = time.monotonic()
        self._durations.committed(time.monotonic() - ended_s)
        self._committed(result)
        return result, work.slow

    async def commit_alone(self, entry: Entry, began_in: Callable[[int], None]) -> CommitResult:
        """Apply one entry, however slow. `began_in` is called with the id of the server's process."""
        work = _Work()
        async with store.exclusive_transaction(
            self._pool, [entry], self._settings.acquire_timeout_s, self._settings.row_lock_timeout_s, began_in
        ) as (connection, server):
            await self._do(connection, [entry], work, is_alone=True)
            result = await self._end(connection, work, server)
            ended_s = time.monotonic()
        self._durations.committed(time.monotonic() - ended_s)
        self._committed(result)
        return result

    async def _do_part(self, connection: Connection, part: Sequence[Entry], work: _Work) -> None:
        """Do a part of a batch, without those of its events that turn out to be slow: it is done again for each."""
        await connection.execute(f"SAVEPOINT {PART}")
        while part:
            try:
                await self._do_noting(connection, part, work, is_guarded=True)
                break
            except SlowCallsError as slow:
                await connection.execute(f"ROLLBACK TO SAVEPOINT {PART}")
                work.slow.update(slow.handlers)
                work.waited += slow.waited
                part = [entry for entry in part if id(entry.event) not in slow.handlers]
        try:
            await connection.execute(f"RELEASE SAVEPOINT {PART}")
        except NO_SAVEPOINT as error:
            raise ended_error() from error

    async def _do_noting(
        self, connection: Connection, entries: Sequence[Entry], work: _Work, *, is_guarded: bool = False
    ) -> None:
        """Do entries, and note how many are slow, for the next parts."""
        try:
            await self._do(connection, entries, work, is_guarded=is_guarded)
        except SlowCallsError as slow:
            self._part_size.note(0, slow.waited)
            raise
        self._part_size.note(len(entries), 0)

    async def _do(
        self, connection: Connection, entries: Sequence[Entry], work: _Work, *, is_alone: bool = False,
        is_guarded: bool = False,
    ) -> None:  # fmt: skip
        around_call = None
        if self._spans.is_on:
            self._spans.begin(entries)
        claimed = await store.claim(connection, entries, self._handlers.is_of_other_mode)
        if self._spans.is_on:
            around_call = self._spans.claimed(claimed)
        self._hooks("claimed")
        if claimed:
            events = [entry.event for entry in claimed]
            outcome = await self._handlers.apply(
                connection, events, self._settings.handler_timeout_s, self._handler_done, self._calls,
                is_alone=is_alone, is_guarded=is_guarded, around_call=around_call,
            )  # fmt: skip
            work.outcome.add(outcome)
        work.claimed += claimed
        work.others += without(entries, claimed)

    async def _end(self, connection: Connection, work: _Work, server: datetime) -> CommitResult:
        """Do what needs to be done only once for all parts, and what no handler looks at."""
        dead: set[str] = set()
        await store.keep_payloads(connection, work.claimed)
        if work.others:
            await store.record_duplicates(connection, work.others)
            dead = await store.find_dead_lettered(connection, work.others)
        self._hooks("applied")
        duplicates = [entry for entry in work.others if entry.entry_id not in dead]
        return CommitResult(work.claimed, duplicates, without(work.others, duplicates), work.outcome, server)

    def _committed(self, result: CommitResult) -> None:
        if self._spans.is_on:
            self._spans.committed(result.entries)
        if result.outcome.asked:
            self._asking.recorded(result.outcome.asked)
        self._hooks("committed")

    def _handler_done(self) -> None:
        self._progress.made("a handler's call")
