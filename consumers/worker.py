"""One worker's loop: read → lock → claim → apply → commit → ack, one batch at a time."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import asyncpg
import structlog
from redis.exceptions import RedisError

from consumers.acks import Acks
from consumers.entry import Entry, Unreadable
from consumers.failures import OUTAGES, Failures, Outage
from consumers.fetcher import Fetcher
from consumers.handlers import Handlers
from consumers.handlers.exceptions import HandlerBlockedError, SlowCallsError
from consumers.in_flight import InFlight, without
from consumers.lease import Lease
from consumers.locks import Locks
from consumers.observers import Observers
from consumers.pipeline import AckPipeline
from consumers.restore_watch import RestoreWatch
from consumers.retry import SplitBatch, WaitOut, cause_of_type, decide, describe, is_conflict
from consumers.settings import DAY_S, Settings
from consumers.shared import Shared
from consumers.side_lane import SideLane
from consumers.stream import Stream
from consumers.transactions import Transactions
from sql.partitions import ensure_payload_partitions

log = structlog.get_logger()

NO_SPAN = nullcontext()

SPLIT_INTO = 8
"""The parts of a batch that failed: each is tried, and split again if it fails."""

CONFLICTS_IN_A_ROW_MAX = 8
"""Conflicts after which they are waited out like an outage: a whole table may be locked. One locked row makes four, in
a full batch that is split down to it."""


class Worker:
    """One worker under one lease. Every entry it has read is in flight until it is acknowledged or dead-lettered."""

    def __init__(
        self, stream: Stream, locks: Locks, side_locks: Locks, lease: Lease, pool: "asyncpg.Pool[Any]",
        handlers: Handlers, settings: Settings, observers: Observers, shared: Shared,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._locks = locks
        self._lease = lease
        self._pool = pool
        self._handlers = handlers
        self._settings = settings
        self._metrics = observers.metrics
        self._progress = observers.progress
        self._hooks = observers.hooks
        self._calls = observers.calls
        self._spans = observers.spans
        self._asking = observers.asking
        self.in_flight = InFlight()
        """Every entry that it has read and that has no outcome."""
        self._fetcher = Fetcher(stream, lease, self.in_flight, settings, observers.metrics, shared)
        self._watch = RestoreWatch(stream, pool, lease, settings, observers.metrics)
        acks = Acks(stream, locks, self.in_flight, settings, observers, self._watch)
        self._pipeline = AckPipeline(self._fetcher.prefetch, acks.ack_committed)
        self._failures = Failures(stream, lease, pool, self.in_flight, acks, settings, observers)
        self._transactions = Transactions(pool, handlers, settings, observers)
        self._side_lane = SideLane(
            side_locks, pool, self.in_flight, acks, self._failures, settings, observers.calls, shared.seats,
            self._transactions.commit_alone,
        )  # fmt: skip
        self._turns = shared.turns
        self._conflicts_in_a_row = 0
        self._stopping = asyncio.Event()
        self._partitions_due_s = 0.0

    def stop(self) -> None:
        """Read no more, and let `run` finish the entries that were read."""
        self._stopping.set()

    def entries_held(self) -> list[str]:
        """Return the ids of all entries in flight, in the present batch or delayed."""
        return self.in_flight.entry_ids

    async def run(self) -> None:
        """Process batches until stopped or until the lease is lost, and wait out every outage."""
        while not self._is_done:
            self._side_lane.start_due()
            try:
                await self._process_batch()
                self._failures.end_outage()
            except OUTAGES as error:
                await self._pipeline.finish()
                await self._pause(await self._failures.handle_outage(error))
            except asyncio.CancelledError:
                await self._leave(at_once=True)
                raise
        await self._leave(at_once=self._lease.lost.is_set())

    @property
    def _is_done(self) -> bool:
        """Whether it may leave: stopped, with no batch prefetched, or without its lease."""
        return self._lease.lost.is_set() or (self._stopping.is_set() and not self._pipeline.has_prefetched)

    async def _process_batch(self) -> None:
        """Read one batch, lock its resources, and apply what could be locked."""
        if self._fetcher.is_reclaim_due:
            await self._keep_house()
        entries = await self._pipeline.prefetched()
        if not entries and not self._stopping.is_set():
            entries = await self._fetcher.next_batch(read_new=not self._failures.in_outage)
        if entries is None:  # too many entries are delayed, or it is stopping
            await self._pause(self._fetcher.until_due_s())
            self._progress.made("nothing: too many entries wait for their retry")
            return
        self._hooks("read")
        async with self._turns.of(entries) as waited:
            if waited and not self._stopping.is_set() and not self._failures.in_outage:
                entries = [*entries, *await self._fetcher.top_up()]
            await self._work_on(entries)
        self._progress.made("a batch" if entries else "nothing to do")

    async def _work_on(self, entries: Sequence[Entry | Unreadable]) -> None:
        """Lock the resources of a batch that was read, and apply what could be locked."""
        await self._failures.dead_letter_untriable(entries)
        self._asking.read(entry.event for entry in self.in_flight.batch)
        if not entries or self._pipeline.is_acking(self.in_flight.resources):
            await self._pipeline.wait_for_ack()
        async with self._locks.hold(self.in_flight.batch) as held:
            ready = self._delay_busy(held)
            self._hooks("locked")
            if len(ready) >= self._settings.batch_size and not self._stopping.is_set():
                self._pipeline.start_prefetch()
            if ready:
                began_s = time.monotonic()
                with self._spans.batch(ready) if self._spans.is_on else NO_SPAN:
                    await self._apply(ready, holds_all_locks=True)
                self._metrics.batch(len(ready), time.monotonic() - began_s)

    async def _apply(self, entries: Sequence[Entry], *, holds_all_locks: bool = False) -> None:
        """Commit entries together and start their ack; if the commit fails, carry out the decision about them.

        `holds_all_locks`: these are all entries of the locked batch, so that their ack releases the locks too.
        """
        while entries:
            try:
                committed, slow_handlers = await self._transactions.commit(entries)
            except SlowCallsError as slow:
                entries = self._leave_to_side_lane(entries, slow.handlers)
            except Exception as error:  # noqa: BLE001 - each becomes a decision
                entries = await self._handle_failure(entries, error)
            else:
                self._conflicts_in_a_row = 0
                if slow_handlers:
                    entries = self._leave_to_side_lane(entries, slow_handlers)
                entries = without(entries, committed.entries)
                await self._pipeline.wait_for_ack()
                self.in_flight.remove([*committed.applied, *committed.duplicates])
                self._pipeline.start_ack(committed, self._locks.hand_over() if holds_all_locks and not entries else [])

    async def _handle_failure(self, entries: Sequence[Entry], error: Exception) -> Sequence[Entry]:
        """Carry out the decision about entries whose transaction failed. Return those to be tried again at once."""
        if slow := cause_of_type(error, SlowCallsError):  # hidden by a connection that was lost meanwhile
            return self._leave_to_side_lane(entries, slow.handlers)
        if blocked := cause_of_type(error, HandlerBlockedError):  # no other event has to be tried alone to find it
            guilty = next(entry for entry in entries if entry.event is blocked.event)
            decision = decide(blocked, guilty.attempt, 1, self._settings)
            await self._failures.carry_out(decision, replace(guilty, alone=str(blocked)), error)  # type: ignore[arg-type]
            return without(entries, [guilty])
        decision = decide(error, entries[0].attempt, len(entries), self._settings, waits=entries[0].waits)
        if isinstance(decision, WaitOut):
            raise Outage(decision.reason) from error
        self._conflicts_in_a_row += is_conflict(error)
        if self._conflicts_in_a_row > CONFLICTS_IN_A_ROW_MAX:
            raise Outage(f"{self._conflicts_in_a_row} conflicts in a row: {describe(error)}") from error
        if not isinstance(decision, SplitBatch):
            await self._failures.carry_out(decision, entries[0], error)
            return []
        log.info("a batch failed; its entries are tried in smaller batches", entries=len(entries),
                 reason=decision.reason)  # fmt: skip
        size = -(-len(entries) // SPLIT_INTO)
        for first in range(0, len(entries), size):
            await self._apply(entries[first : first + size])
        return []

    def _leave_to_side_lane(self, entries: Sequence[Entry], slow: Mapping[int, str]) -> list[Entry]:
        """Move entries with slow handlers from the batch to the side lane, at no attempt; return the others."""
        leaving = [
            replace(entry, alone=f"handler {slow[id(entry.event)]} is slow")
            for entry in entries
            if id(entry.event) in slow
        ]
        for handler in slow.values():
            self._metrics.handler_slow(handler)
        log.info("handlers are slow; their events are tried alone, and the batch goes on without them",
                 events=len(leaving), handlers=sorted(set(slow.values())))  # fmt: skip
        self.in_flight.delay(leaving, 0)
        return without(entries, leaving)

    def _delay_busy(self, held: set[tuple[str, str]]) -> list[Entry]:
        """Delay entries whose resource another worker has locked, at no attempt; return the others."""
        batch = self.in_flight.batch
        ready = [entry for entry in batch if entry.resource_key in held]
        if busy := without(batch, ready):
            self._metrics.busy(len(busy))
            self.in_flight.delay(busy, self._settings.busy_delay_ms / 1000 * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        return ready

    async def _keep_house(self) -> None:
        """Remove the names of dead workers; once a day, create the partitions of the coming months."""
        if self._spans.is_on:
            self._spans.keep(self.in_flight.entry_ids)
        await self._watch.look()
        await self._lease.forget_dead_consumers()
        if time.monotonic() >= self._partitions_due_s:
            async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
                await ensure_payload_partitions(connection)
            self._partitions_due_s = time.monotonic() + DAY_S

    async def _leave(self, *, at_once: bool) -> None:
        """Finish the background work, and release entries that were not tried, so that others can take them at once.

        `at_once`: attempts in the side lane are ended and rolled back.
        """
        await self._pipeline.finish()
        await self._side_lane.close(at_once=at_once)
        if self._lease.lost.is_set():
            return
        if self._spans.is_on:
            self._spans.keep([])
        self.in_flight.delay(self.in_flight.batch, 0)
        untried = [entry for queue in (self.in_flight.delayed, self.in_flight.slow) for entry in queue.take_all()[0]]
        try:
            await self._stream.release_entries(self._lease.consumer, untried, self._settings.claim_idle_ms)
        except RedisError as error:
            log.warning("entries not released; others take them over when they have been idle long enough",
                        entries=len(untried), idle_ms=self._settings.claim_idle_ms, error=describe(error))  # fmt: skip

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not longer than until `stop()`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_s)
