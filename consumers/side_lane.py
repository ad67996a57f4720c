"""The side lane: events that would hold back their batch are tried alone, several at a time, off the main loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import structlog

from consumers import store
from consumers.acks import Acks, CommitResult
from consumers.entry import Entry
from consumers.failures import OUTAGES, Failures
from consumers.handlers.exceptions import HandlerBlockedError
from consumers.handlers.watch import CallWatch
from consumers.in_flight import InFlight
from consumers.locks import Locks
from consumers.retry import WaitOut, cause_of_type, decide, decide_before_attempt, delay_s, describe
from consumers.settings import Settings
from consumers.shared import Seats
from runtime.tasks import end

NOTICE_AFTER_S = 1.0
"""The time after which it is recorded for `make pending` what an attempt does or waits for."""

NOTICE_EVERY_S = 5.0
"""How often it is looked up again."""

log = structlog.get_logger()


class _Transaction:
    """The transaction of one attempt. `server_pid`: the process of Postgres that it is in, 0 where it has not begun."""

    def __init__(self) -> None:
        self.server_pid = 0

    def began_in(self, server_pid: int) -> None:
        self.server_pid = server_pid


class SideLane:
    """At most SIDE_LANE_MAX attempts at a time, each in a transaction and under a lock of its own.

    An entry comes here once it was slow, met a lock of somebody else's, or blocked the event loop, and stays until it
    has an outcome. The others of these entries wait in `in_flight.slow`, and hold back nothing but new slow ones.
    """

    def __init__(
        self, locks: Locks, pool: "asyncpg.Pool[Any]", in_flight: InFlight, acks: Acks, failures: Failures,
        settings: Settings, watch: CallWatch, seats: Seats,
        commit: Callable[[Entry, Callable[[int], None]], Awaitable[CommitResult]],
    ) -> None:  # fmt: skip
        """`commit` applies one entry in a transaction of its own, and says its server process' id first."""
        self._locks = locks
        self._pool = pool
        self._in_flight = in_flight
        self._acks = acks
        self._failures = failures
        self._settings = settings
        self._watch = watch
        self._seats = seats
        seats.add(self.start_due)
        self._commit = commit
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = True
        self._outages_in_a_row = 0

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is under way."""
        return bool(self._tasks)

    def start_due(self) -> None:
        """Begin the attempts that are due, as far as there is room."""
        while self._is_open and self._seats.has_free:
            free, counted = self._in_flight.slow.take_due(time.monotonic(), 1)
            if not free and not counted:
                return
            for entry in [*free, *(replace(each, attempt=each.attempt + 1) for each in counted)]:
                self._in_flight.alone[entry.entry_id] = entry
                self._seats.take()
                task = asyncio.create_task(self._try(entry, is_counted=bool(counted)))
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._seats.give_back()

    async def close(self, *, at_once: bool) -> None:
        """Begin nothing more, and wait for what is under way; `at_once` cancels it: it is rolled back."""
        self._is_open = False
        self._seats.remove(self.start_due)
        tasks = list(self._tasks)
        try:
            if tasks and not at_once:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                await end(task)

    async def _try(self, entry: Entry, *, is_counted: bool) -> None:
        try:
            await self._try_under_lock(entry, is_counted=is_counted)
            self._outages_in_a_row = 0
        except Exception as error:  # noqa: BLE001 - each becomes a decision, as in the main loop
            try:
                await self._carry_out(entry, error)
            except OUTAGES as outage:
                self._wait_out(entry, describe(outage))
        finally:
            self._in_flight.alone.pop(entry.entry_id, None)

    async def _try_under_lock(self, entry: Entry, *, is_counted: bool) -> None:
        if is_counted and not await self._failures.begin_again(entry):
            return  # another worker has it
        if decide_before_attempt(entry, self._settings.max_attempts):
            await self._failures.dead_letter_untriable([entry])
            return
        async with self._locks.hold_one(entry, list(self._in_flight.alone.values())) as is_held:
            if not is_held:
                self._in_flight.delay([entry], self._settings.busy_delay_ms / 1000)
                return
            async with self._explaining(entry) as transaction:
                committed = await self._commit(entry, transaction.began_in)
        await self._acks.ack_committed(committed)

    async def _carry_out(self, entry: Entry, error: Exception) -> None:
        decision = decide(
            cause_of_type(error, HandlerBlockedError) or error, entry.attempt, 1, self._settings, waits=entry.waits
        )
        if isinstance(decision, WaitOut):
            self._wait_out(entry, decision.reason)
            return
        await self._failures.carry_out(decision, entry, error)  # type: ignore[arg-type] # a single entry is not split

    def _wait_out(self, entry: Entry, reason: str) -> None:
        self._outages_in_a_row += 1
        wait_s = delay_s(self._outages_in_a_row, self._settings.outage_delay_ms, self._settings.outage_delay_max_ms)
        self._in_flight.delay([entry], wait_s)
        log.warning("cannot work in the side lane; nothing is lost, and it is tried again", reason=reason,
                    event_id=entry.event.event_id, wait_s=round(wait_s, 3))  # fmt: skip

    @asynccontextmanager
    async def _explaining(self, entry: Entry) -> AsyncIterator["_Transaction"]:
        transaction = _Transaction()
        task = asyncio.create_task(self._explain(entry, transaction))
        try:
            yield transaction
        finally:
            await end(task)

    async def _explain(self, entry: Entry, transaction: "_Transaction") -> None:
        """Record what a long attempt does: its handler runs, or another session holds a lock that it waits for."""
        pause_s = NOTICE_AFTER_S
        began_s = time.monotonic()
        while True:
            await asyncio.sleep(pause_s)
            pause_s = NOTICE_EVERY_S
            handler = self._watch.handler_of(entry.event)
            try:
                holder = await store.find_lock_holder(
                    self._pool, transaction.server_pid, self._settings.acquire_timeout_s
                )
                reason = f"handler {handler} has been running" if handler else "its statements have been running"
                if holder:
                    reason = f"{reason}, waiting for a lock that {holder} holds,"
                await self._failures.record_running(entry, reason, time.monotonic() - began_s)
            except OUTAGES as error:
                log.warning("cannot record what a slow event does", event_id=entry.event.event_id,
                            error=describe(error))  # fmt: skip
