"""Carries out the decisions of `retry.py`, and keeps entries through outages of Redis and Postgres."""

import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog
from redis.exceptions import RedisError

from consumers import store
from consumers.acks import Acks, CommitResult
from consumers.entry import Entry, Unreadable
from consumers.handlers.exceptions import HandlerFailed
from consumers.in_flight import InFlight
from consumers.lease import Lease
from consumers.metrics import UNREADABLE
from consumers.notes import WaitingKind
from consumers.observers import Observers
from consumers.pipeline import finished
from consumers.retry import (
    INFRASTRUCTURE,
    DeadLetter,
    RetryLater,
    decide_before_attempt,
    delay_s,
    describe,
    outage_cause,
)
from consumers.settings import Settings
from consumers.stream import GROUP_WAS_GONE, Stream, group_is_missing
from runtime.tracing import trace_id_of

log = structlog.get_logger()


class Outage(Exception):  # noqa: N818 - a state of the world, not of the program
    """Redis or Postgres cannot work now. No entry in flight counts an attempt for it."""


OUTAGES = (Outage, *INFRASTRUCTURE)


class Failures:
    """Handles entries that were not applied: retries them later, dead-letters them, or keeps them through an outage."""

    def __init__(
        self, stream: Stream, lease: Lease, pool: "asyncpg.Pool[Any]", in_flight: InFlight, acks: Acks,
        settings: Settings, observers: Observers,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._lease = lease
        self._pool = pool
        self._in_flight = in_flight
        self._acks = acks
        self._settings = settings
        self._metrics = observers.metrics
        self._progress = observers.progress
        self._spans = observers.spans
        self._outages_in_a_row = 0
        self._outage_since: datetime | None = None

    async def dead_letter_untriable(self, entries: Sequence[Entry | Unreadable]) -> None:
        """Dead-letter those entries of a batch that must not be tried: undecodable ones, and poison messages."""
        for entry in entries:
            if decision := decide_before_attempt(entry, self._settings.max_attempts):
                await self._dead_letter(entry, decision, None if isinstance(entry, Entry) else entry.problem)

    async def carry_out(self, decision: RetryLater | DeadLetter, entry: Entry, error: Exception) -> None:
        """Retry an entry later, or dead-letter it."""
        self._progress.made("an attempt that failed")
        if isinstance(decision, DeadLetter):
            await self._dead_letter(entry, decision, error)
            return
        if self._spans.is_on:
            self._spans.failed([entry], "retry", _cause(error))
        if decision.counts:
            trace = "".join(traceback.format_exception(error))
            entry = replace(entry, past=entry.past.with_error(entry.attempt, decision.reason, trace), waits=0)
        elif decision.kind == "conflict":  # another session may hold a lock for long: it must hold back no batch
            entry = replace(entry, alone=entry.alone or decision.reason, waits=entry.waits + 1)
        self._in_flight.delay([entry], decision.wait_s, attempt_counts=decision.counts)
        self._metrics.retried(entry.event.source, decision.kind)
        log.warning("an event failed; it is tried again", source=entry.event.source, event_id=entry.event.event_id,
                    trace_id=trace_id_of(entry.event.headers), attempt=entry.attempt,
                    attempts_max=self._settings.max_attempts, wait_s=round(decision.wait_s, 3), reason=decision.reason,
                    )  # fmt: skip
        kind: WaitingKind = "retry" if decision.counts else "infrastructure"
        await self._record([entry], kind, decision.reason, decision.wait_s, since=None)

    async def begin_again(self, entry: Entry) -> bool:
        """Count one more attempt of a delayed entry. Return whether this worker may make it. Raises RedisError."""
        return bool(await self._stream.count_attempt(self._lease.consumer, [entry]))

    async def record_running(self, entry: Entry, reason: str, running_s: float) -> None:
        """Record what an entry's present attempt has been doing for so long, for `make pending`. Raises RedisError."""
        await self._stream.record_running(self._lease.consumer, entry, reason, running_s)

    async def _dead_letter(self, entry: Entry | Unreadable, decision: DeadLetter, error: Exception | None) -> None:
        """Write an entry to the dead letters, then acknowledge it. If its event was applied meanwhile, only ack it."""
        readable = [entry] if isinstance(entry, Entry) else []
        past = entry.past.traceback if isinstance(entry, Entry) else ""
        trace = "".join(traceback.format_exception(error)) if error else past
        timeout_s = self._settings.acquire_timeout_s
        async with store.exclusive_transaction(self._pool, readable, timeout_s) as (connection, _):
            await store.record_duplicates(connection, readable)
            is_dead = await store.dead_letter(connection, entry, decision.reason, trace)
        if self._spans.is_on and is_dead:
            self._spans.begin(readable)
            self._spans.failed(readable, "dead", _cause(error) if error else "attempts ended with their worker")
        if not is_dead:
            self._in_flight.remove(readable)
            await finished(self._acks.ack_committed(CommitResult(duplicates=readable)))
            return
        event = entry.event if isinstance(entry, Entry) else None
        self._metrics.dead(event.source if event else UNREADABLE)
        log.error("an event cannot be applied; it is in the dead letters (make dead, make replay)",
                  entry_id=entry.entry_id, event_id=event and event.event_id, source=event and event.source,
                  trace_id=trace_id_of(event.headers) if event else None,
                  attempts=entry.attempt, reason=decision.reason)  # fmt: skip
        await self._acks.ack_dead_lettered(entry)

    @property
    def in_outage(self) -> bool:
        """Whether the last batch was interrupted by an outage."""
        return self._outages_in_a_row > 0

    def end_outage(self) -> None:
        """Note that Redis and Postgres work."""
        self._outages_in_a_row = 0

    async def handle_outage(self, error: Exception) -> float:
        """Keep the present batch for later, at no attempt. Return the wait, which grows with each outage in a row."""
        self._outages_in_a_row += 1
        if self._outages_in_a_row == 1:
            self._outage_since = datetime.now(UTC)
        cause = error.__cause__ if isinstance(error, Outage) and isinstance(error.__cause__, Exception) else error
        reason = describe(outage_cause(cause))
        wait_s = delay_s(self._outages_in_a_row, self._settings.outage_delay_ms, self._settings.outage_delay_max_ms)
        interrupted = self._in_flight.batch
        self._in_flight.remove(interrupted)
        untried = [replace(entry, attempt=entry.attempt - 1) for entry in interrupted]
        self._in_flight.delay(untried, wait_s, attempt_counts=True)
        self._metrics.infrastructure("redis" if isinstance(error, RedisError) else "postgres")
        self._progress.waiting_for(reason)
        log.warning("cannot work; nothing is lost, and it is tried again", reason=reason,
                    in_a_row=self._outages_in_a_row, wait_s=round(wait_s, 3),
                    entries_delayed=len(self._in_flight.delayed))  # fmt: skip
        if not isinstance(error, RedisError):
            # This server may be read-only, or stopping: the next connection goes where the address leads by then.
            await self._pool.expire_connections()
        with suppress(RedisError, OSError):
            if group_is_missing(error):
                await self._restore_group()
            elif interrupted:
                # Should this worker be killed while it waits, its death does not count as an attempt.
                await self._stream.release_entries(self._lease.consumer, interrupted, idle_ms=0)
                await self._record(interrupted, "infrastructure", reason, wait_s, self._outage_since)
        return wait_s

    async def _restore_group(self) -> None:
        """Make a lost consumer group again, from the first entry, so that it skips nothing in the stream."""
        if await self._stream.ensure_group():
            self._metrics.group_recreated()
            log.critical(GROUP_WAS_GONE)

    async def _record(
        self, entries: Sequence[Entry], kind: WaitingKind, reason: str, wait_s: float, since: datetime | None
    ) -> None:
        """Record why entries wait, for `make pending`. Work goes on without it, e.g. when Redis is out of memory."""
        try:
            await self._stream.record_failure(self._lease.consumer, entries, kind, reason, wait_s, since)
        except RedisError as error:
            log.warning("cannot record why entries wait; `make pending` does not show it", error=describe(error))


def _cause(error: BaseException) -> BaseException:
    """Return what a handler raised, where its failure is wrapped."""
    return error.__cause__ if isinstance(error, HandlerFailed) and error.__cause__ else error
