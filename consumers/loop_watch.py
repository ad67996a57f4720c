"""A thread that notices a blocked event loop, names the handler, and after HANDLER_TIMEOUT_S ends its call.

A call that blocks the loop (`time.sleep`, a long computation, a request of a library without asyncio) cannot be
cancelled. So the worker gives back what it holds, records the failed attempt, and replaces its process by a new one
with the same id, or ends if it was being stopped: Postgres rolls back what the old one had begun.
"""

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.entry import Entry
from consumers.handlers.watch import CallWatch, Step
from consumers.in_flight import InFlight
from consumers.lease import Lease
from consumers.locks import Locks
from consumers.metrics import Metrics
from consumers.notes import write_note
from consumers.retry import BLOCKED_DELAY_FACTOR, describe
from consumers.scripts import Scripts
from consumers.settings import Settings
from contract.keys import Keys
from runtime.leaving import STOP_SIGNALS, Leaving
from runtime.redis_connection import client

CHECK_S = 0.1
"""How often the thread looks."""

SIGNAL_SEEN_S = 0.05
"""How long the blocked thread has to note a signal that the process got already: Python calls its handler there, and
what begins again would not know of it."""

STDERR = 2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class InHand:
    """What a worker holds under its lease. The thread reads it only while the loop, which changes it, is blocked."""

    lease: Lease
    locks: tuple[Locks, ...]
    in_flight: InFlight

    def entry_of(self, step: Step) -> Entry | None:
        """Return the entry whose handler runs."""
        candidates = [*self.in_flight.batch, *self.in_flight.alone.values()]
        return next((entry for entry in candidates if entry.event is step.event), None)


class LoopWatch:
    """Watches the handlers' code on the event loop, while the block lasts."""

    def __init__(self, settings: Settings, calls: CallWatch, metrics: Metrics) -> None:
        self._settings = settings
        self.calls = calls
        self._metrics = metrics
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        self.in_hand: dict[Keys, InHand] = {}
        """What it holds of each partition, set by the worker while it has a lease of it."""
        self.leaving: Leaving | None = None
        """Knows of a SIGTERM: what begins anew would not."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        reported: Step | None = None
        while not self._stop.wait(CHECK_S):
            step = self.calls.step
            if step is None:
                continue
            blocked_s = time.monotonic() - step.since_s
            if blocked_s >= self._settings.handler_blocked_s and step is not reported:
                reported = step
                self._report(step)
            if blocked_s >= self._settings.handler_timeout_s and self.calls.step is step:
                self._begin_again(step)

    def _report(self, step: Step) -> None:
        log.critical("a handler blocks this worker's event loop: nothing else runs in it; use await, or "
                     "asyncio.to_thread", handler=step.handler, event_id=step.event.event_id,
                     ended_after_s=self._settings.handler_timeout_s)  # fmt: skip
        faulthandler.dump_traceback(file=STDERR, all_threads=True)
        self._metrics.handler_blocked(step.handler)
        for keys, held in list(self.in_hand.items()):
            if entry := held.entry_of(step):
                self._run(self._record_blocked(keys, held, entry, step))

    def _begin_again(self, step: Step) -> None:
        in_hand = list(self.in_hand.items())
        if any(held.entry_of(step) for _, held in in_hand):
            for keys, held in in_hand:
                self._run(self._give_back(keys, held, held.entry_of(step), step))
        log.critical("a handler blocked this worker's event loop for too long; its attempt failed, and the worker "
                     "begins again, or ends if it was being stopped", handler=step.handler,
                     event_id=step.event.event_id, blocked_s=self._settings.handler_timeout_s)  # fmt: skip
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # they wait until the new program has its handlers
        self._stop.wait(SIGNAL_SEEN_S)
        if self.leaving and self.leaving.has_begun:
            os._exit(0)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same program again

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it in a loop of this thread's own. Redis may be down: what it would have recorded is missing then."""
        try:
            asyncio.run(work)
        except (RedisError, OSError) as error:
            log.warning("cannot record which handler blocks the event loop", error=describe(error))

    async def _record_blocked(self, keys: Keys, held: InHand, entry: Entry, step: Step) -> None:
        reason = f"handler {step.handler} has blocked the event loop of {held.lease.consumer}"
        note = write_note(entry.past, entry.attempt, "running", reason, None, None, entry.alone or reason)
        async with self._redis() as redis:
            await Scripts(redis, keys).record_failure(held.lease.consumer, {entry.entry_id: note})

    async def _give_back(self, keys: Keys, held: InHand, entry: Entry | None, step: Step) -> None:
        """Count the attempt of the guilty entry, where it is of this partition, and let others have everything else."""
        consumer = held.lease.consumer
        notes = {entry.entry_id: self._note(entry, step)} if entry else {}
        others = [each for each in held.in_flight.entry_ids if each not in notes]
        async with self._redis() as redis:
            scripts = Scripts(redis, keys)
            if notes:
                await scripts.record_failure(consumer, notes)
            await scripts.release_entries(consumer, self._settings.claim_idle_ms, [(each, 1) for each in others])
            for lane in held.locks:
                if names := sorted(lane.held):
                    await scripts.release_locks(names, lane.token)
            with suppress(RedisError):
                await scripts.forget_consumer(consumer, held.lease.number, held.lease.token)

    def _note(self, entry: Entry, step: Step) -> str:
        blocked_s = self._settings.handler_timeout_s
        reason = (
            f"handler {step.handler} blocked the worker's event loop for {blocked_s:g} s (HANDLER_TIMEOUT_S), and the"
            " worker had to begin again: use await or asyncio.to_thread"
        )
        guilty = replace(entry, past=entry.past.with_error(entry.attempt, reason, ""), alone=reason)
        return write_note(
            guilty.past, guilty.attempt, "retry", reason, blocked_s * BLOCKED_DELAY_FACTOR, None, guilty.alone
        )

    def _redis(self) -> Redis:
        return client(self._settings.redis_url, timeout_s=self._settings.redis_timeout_s, name="payments-loop-watch")
