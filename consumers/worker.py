"""The ritual: read → lock → claim → apply → commit → ack. One worker, one batch at a time."""

import asyncio
import random
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
import structlog
from redis.exceptions import RedisError

from consumers import store
from consumers.entry import Entry, Unreadable
from consumers.fetcher import Fetcher
from consumers.handlers import Connection, Handlers, Outcome
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.in_flight import InFlight, without
from consumers.lease import Lease
from consumers.locks import Locks
from consumers.metrics import Metrics
from consumers.retry import INFRASTRUCTURE, Verdict, delay_s, describe, is_poison, judge
from consumers.settings import DAY_S, Settings
from consumers.stream import GROUP_WAS_GONE, Stream, WaitingKind, group_is_missing

log = structlog.get_logger()

Result = TypeVar("Result")


class Outage(Exception):  # noqa: N818 - a state of the world, not of the program
    """Nothing can be applied now; nothing that was in hand counts as an attempt."""


OUTAGES = (Outage, *INFRASTRUCTURE)
"""What `run` waits out: Redis or Postgres cannot be reached, or refuse to work."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did: entries it applied, entries whose event was applied before, and entries that lie in the
    dead letters, because somebody buried them while their worker was stopped or before it could acknowledge them.
    """

    applied: list[Entry]
    known: list[Entry]
    buried: list[Entry]
    outcome: Outcome


class Worker:
    """One worker under one slot. `run()` returns once `stop()` was called or the slot was lost, with nothing in hand.

    Every entry it has read is in its hands, or done with: settled, or buried.
    """

    def __init__(
        self, stream: Stream, locks: Locks, slot: Lease, pool: "asyncpg.Pool[Any]", handlers: Handlers,
        settings: Settings, metrics: Metrics, progress: Progress, hooks: Hooks = no_hooks,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._locks = locks
        self._slot = slot
        self._pool = pool
        self._handlers = handlers
        self._settings = settings
        self._metrics = metrics
        self._progress = progress
        self._hooks = hooks
        self._hands = InFlight()
        self._intake = Fetcher(stream, slot, self._hands, settings, metrics)
        self._stopping = asyncio.Event()
        self._settling: asyncio.Task[None] | None = None
        self._settling_resources: set[tuple[str, str]] = set()
        self._reading: asyncio.Task[list[Entry | Unreadable]] | None = None
        self._outages = 0
        self._outage_at: datetime | None = None
        self._partitions_at_s = 0.0

    def stop(self) -> None:
        """Lets the worker finish what is in hand, and read no more."""
        self._stopping.set()

    def entries_held(self) -> list[str]:
        """The ids of all entries it holds: in the present batch, or waiting for their time."""
        return self._hands.entry_ids

    async def run(self) -> None:
        """Works turn by turn until stopped; waits out every outage. Then gives back what it could not try."""
        while not self._is_done:
            try:
                await self._turn()
                self._outages = 0
            except OUTAGES as error:
                await self._wait_out(error)
            except asyncio.CancelledError:
                await self._leave()
                raise
        await self._leave()

    @property
    def _is_done(self) -> bool:
        """Whether it may leave: it was told to, and has finished what it had read."""
        return self._slot.lost.is_set() or (self._stopping.is_set() and self._reading is None)

    async def _turn(self) -> None:
        """One batch through the ritual."""
        if self._intake.is_walk_due:
            await self._keep_house()
        entries = await self._read_ahead()
        if not entries and not self._stopping.is_set():
            entries = await self._intake.gather(read_new=not self._outages)
        if entries is None:  # its hands are full of what waits, or it was told to stop
            await self._pause(self._intake.until_due_s())
            self._progress.made("nothing: its hands are full of what waits")
            return
        self._hooks("read")
        await self._bury_hopeless(entries)
        if not entries or self._settling_resources & self._hands.resources:
            await self._settled()
        async with self._locks.hold(self._hands.resources) as held:
            ready = self._park_busy(held)
            self._hooks("locked")
            if len(ready) >= self._settings.batch_size and not self._stopping.is_set():
                self._reading = asyncio.create_task(self._intake.read_ahead())
            if ready:
                began_s = time.monotonic()
                await self._apply(ready, locks_too=True)
                self._metrics.batch(len(ready), time.monotonic() - began_s)
        self._progress.made("a batch" if entries else "nothing to do")

    async def _commit(self, entries: Sequence[Entry]) -> Committed:
        """The one transaction."""
        buried: set[str] = set()
        outcome = Outcome()
        async with self._alone_with(entries) as connection:
            claimed = await store.claim(connection, entries)
            self._hooks("claimed")
            if claimed:
                await store.keep_payloads(connection, claimed)
                events = [entry.event for entry in claimed]
                outcome = await self._handlers.apply(
                    connection, events, self._settings.handler_timeout_s, self._handler_done
                )
            if others := without(entries, claimed):
                await store.record_duplicates(connection, others)
                buried = await store.find_dead_lettered(connection, others)
            self._hooks("applied")
        self._hooks("committed")
        known = [entry for entry in others if entry.entry_id not in buried]
        return Committed(claimed, known, [entry for entry in others if entry.entry_id in buried], outcome)

    @asynccontextmanager
    async def _alone_with(self, entries: Sequence[Entry]) -> AsyncIterator[Connection]:
        """A transaction that no other works beside on the entries' resources, whatever became of the Redis locks."""
        async with (
            self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection,
            connection.transaction(isolation="read_committed"),
        ):
            await store.exclude_others(connection, entries)
            yield connection

    async def _apply(self, entries: Sequence[Entry], *, locks_too: bool = False) -> None:
        """Commits entries together and settles them; if that fails, each alone, so that none holds back another.

        `locks_too`: settling a commit of them all releases their locks as well.
        """
        try:
            committed = await self._commit(entries)
        except Exception as error:
            verdict = judge(error)
            if verdict.kind == "outage":
                raise Outage(verdict.reason) from error
            if len(entries) == 1:
                await self._after_failure(entries[0], verdict, error)
                return
            log.info("a batch failed; its entries are tried one by one", entries=len(entries), reason=verdict.reason)
            for entry in entries:
                await self._apply([entry])
        else:
            await self._settled()
            self._hands.put_down([*committed.applied, *committed.known])
            self._settling_resources = {(entry.event.namespace, entry.event.resource) for entry in entries}
            self._settling = asyncio.create_task(self._settle(committed, self._locks.hand_over() if locks_too else []))

    async def _settled(self) -> None:
        """Waits until the last commit is settled, whoever cancels this meanwhile; raises what went wrong with it.

        Settling goes on beside the next batch, unless that is about the same resources.
        """
        if self._settling:
            settling, self._settling = self._settling, None
            await _uncancelled(settling)

    async def _read_ahead(self) -> list[Entry | Unreadable] | None:
        """What was read while the last batch was being committed."""
        if self._reading is None:
            return None
        reading, self._reading = self._reading, None
        return await _uncancelled(reading)

    async def _settle(self, committed: Committed, locks: Sequence[str] = ()) -> None:
        """What follows a commit. If it fails nothing is lost: the entries are read again, and found to be applied."""
        settled = [*committed.applied, *committed.known]
        self._progress.made("a commit")
        for source, count in Counter(entry.event.source for entry in committed.applied).items():
            self._metrics.applied(source, count)
        for source, count in Counter(entry.event.source for entry in committed.known).items():
            self._metrics.duplicates(source, count)
        self._tell_of_money(committed.outcome)
        try:
            await self._stream.ack_committed(settled, self._settings.committed_ttl_s, locks, self._locks.token)
            for entry in committed.buried:
                await self._settle_buried(entry)
        except RedisError as error:
            log.warning("applied but not acknowledged; the entries will be read again and skipped",
                        entries=len(settled), error=describe(error))  # fmt: skip
            raise
        self._hooks("acked")

    def _tell_of_money(self, outcome: Outcome) -> None:
        """Counts what was told and not booked."""
        for source, count in outcome.held_back.items():
            self._metrics.held_back(source, count)
        for source, count in outcome.conflicts.items():
            self._metrics.conflicts(source, count)
            log.error("events contradict each other about money; nothing is overwritten, and that payment's money "
                      "stops until somebody decides (make resolve)", source=source, conflicts=count)  # fmt: skip

    async def _keep_house(self) -> None:
        """Forgets the names of dead workers; once a day, makes the partitions of the coming months."""
        await self._slot.forget_dead_consumers()
        if time.monotonic() >= self._partitions_at_s:
            async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
                await store.ensure_partitions(connection)
            self._partitions_at_s = time.monotonic() + DAY_S

    # What becomes of entries that could not be applied.

    def _park_busy(self, held: set[tuple[str, str]]) -> list[Entry]:
        """Parks what others work on, at no attempt; returns the rest."""
        in_hand = self._hands.in_hand
        ready = [entry for entry in in_hand if (entry.event.namespace, entry.event.resource) in held]
        if busy := without(in_hand, ready):
            self._metrics.busy(len(busy))
            self._hands.park(busy, self._settings.busy_delay_ms / 1000 * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        return ready

    async def _after_failure(self, entry: Entry, verdict: Verdict, error: Exception) -> None:
        """Decides about one entry that failed alone."""
        self._progress.made("an attempt that failed")
        attempt, attempts_max = entry.deliveries, self._settings.max_attempts
        if verdict.kind == "permanent":
            await self._bury(entry, verdict.reason, error)
            return
        if verdict.kind == "failed" and attempt >= attempts_max:
            await self._bury(entry, f"attempt {attempt} of {attempts_max} failed: {verdict.reason}", error)
            return
        wait_s = verdict.after_s
        if wait_s is None:
            wait_s = delay_s(attempt, self._settings.retry_delay_ms, self._settings.retry_delay_max_ms)
        counts = verdict.kind == "failed"
        self._hands.park([entry], wait_s, attempt_counts=counts)
        self._metrics.retried(entry.event.source, verdict.kind)
        log.warning("an event failed; it is tried again", event_id=entry.event.event_id, attempt=attempt,
                    attempts_max=attempts_max, wait_s=round(wait_s, 3), reason=verdict.reason)  # fmt: skip
        await self._note([entry], "retry" if counts else "infrastructure", verdict.reason, wait_s)

    async def _bury_hopeless(self, entries: Sequence[Entry | Unreadable]) -> None:
        """Buries what is no envelope, and what was delivered too often without an outcome: its workers died of it."""
        for entry in entries:
            if isinstance(entry, Unreadable):
                await self._bury(entry, str(entry.problem), entry.problem)
            elif is_poison(entry.deliveries, self._settings.max_attempts):
                await self._bury(entry, f"delivered {entry.deliveries} times without an outcome: each time its worker "
                                        "died or was stopped", None)  # fmt: skip

    async def _bury(self, entry: Entry | Unreadable, reason: str, error: Exception | None) -> None:
        """Writes an entry to the dead letters, and only then acknowledges it. Not if its event is applied after all."""
        trace = "".join(traceback.format_exception(error)) if error else ""
        known = [entry] if isinstance(entry, Entry) else []
        async with self._alone_with(known) as connection:
            await store.record_duplicates(connection, known)
            is_buried = await store.dead_letter(connection, entry, reason, trace)
        if not is_buried:
            self._hands.put_down(known)
            await _uncancelled(self._settle(Committed([], known, [], Outcome())))
            return
        self._metrics.dead(entry.event.source if isinstance(entry, Entry) else "unreadable")
        log.error("an event cannot be applied; it lies in the dead letters (make dead, make replay)",
                  entry_id=entry.entry_id, event_id=entry.event.event_id if isinstance(entry, Entry) else None,
                  attempts=entry.deliveries, reason=reason)  # fmt: skip
        await self._settle_buried(entry)

    async def _settle_buried(self, entry: Entry | Unreadable) -> None:
        await self._stream.ack_dead_lettered(entry)
        self._hands.put_down([entry])

    async def _wait_out(self, error: Exception) -> None:
        """Keeps what is in hand for later, says why, and waits; longer with each outage in a row."""
        self._outages += 1
        if self._outages == 1:
            self._outage_at = datetime.now(UTC)
        await self._finish_background()
        reason = describe(error.__cause__ if isinstance(error, Outage) and error.__cause__ else error)
        wait_s = delay_s(self._outages, self._settings.outage_delay_ms, self._settings.outage_delay_max_ms)
        interrupted = self._hands.in_hand
        untried = [replace(entry, deliveries=entry.deliveries - 1) for entry in interrupted]
        self._hands.put_down(interrupted)
        self._hands.park(untried, wait_s, attempt_counts=True)
        self._metrics.infrastructure("redis" if isinstance(error, RedisError) else "postgres")
        self._progress.waiting_for(reason)
        log.warning("cannot work; nothing is lost, and it is tried again", reason=reason, in_a_row=self._outages,
                    wait_s=round(wait_s, 3), entries_in_hand=len(self._hands.parking))  # fmt: skip
        with suppress(RedisError, OSError):
            if group_is_missing(error):
                await self._make_group()
            elif interrupted:
                # Should this worker be killed while it waits, its death does not count as an attempt.
                await self._stream.release_entries(self._slot.consumer, interrupted, idle_ms=0)
                await self._note(interrupted, "infrastructure", reason, wait_s, since=self._outage_at)
        await self._pause(wait_s)

    async def _note(
        self, entries: Sequence[Entry], kind: WaitingKind, reason: str, wait_s: float, since: datetime | None = None
    ) -> None:
        """Leaves word of why entries wait. Work goes on without it, as when Redis is out of memory."""
        try:
            await self._stream.record_failure(self._slot.consumer, entries, kind, reason, wait_s, since)
        except RedisError as error:
            log.warning("cannot note why entries wait; `make pending` does not show it", error=describe(error))

    async def _make_group(self) -> None:
        """Makes a lost group again, from the first entry: nothing that is in the stream is passed over."""
        if await self._stream.ensure_group():
            self._metrics.group_recreated()
            log.critical(GROUP_WAS_GONE)

    async def _finish_background(self) -> None:
        """Lets settling and reading ahead end. What goes wrong there is the outage that is being told, or was told."""
        with suppress(*OUTAGES):
            await self._settled()
        with suppress(*OUTAGES):
            await self._read_ahead()

    async def _leave(self) -> None:
        """Settles what was committed, and returns entries that were not tried, so that others may take them at once."""
        await self._finish_background()
        if self._slot.lost.is_set():
            return
        self._hands.park(self._hands.in_hand, 0)
        free, _counted = self._hands.parking.take_all()
        try:
            await self._stream.release_entries(self._slot.consumer, free, self._settings.claim_idle_ms)
        except RedisError as error:
            log.warning("entries not given back; others take them over when they have been idle long enough",
                        entries=len(free), idle_ms=self._settings.claim_idle_ms, error=describe(error))  # fmt: skip

    def _handler_done(self) -> None:
        self._progress.made("a handler's call")

    async def _pause(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_s)


async def _uncancelled(work: Awaitable[Result]) -> Result:
    """Does `work` to its end, even where the task that awaits it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled from task.exception()
    return task.result()
