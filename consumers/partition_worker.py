"""The work on one partition: acquire a lease, work under it, release it. After a lost lease it starts again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.handlers import Handlers
from consumers.lease import Lease
from consumers.locks import Locks
from consumers.loop_watch import InHand, LoopWatch
from consumers.observers import Observers
from consumers.retry import delay_s, describe
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.shared import Shared
from consumers.stream import GROUP_WAS_GONE, Stream
from consumers.worker import Worker
from contract.keys import Keys
from runtime.tasks import end

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of the server of a partition. `reader` blocks, and so waits longer for replies."""

    redis: Redis
    reader: Redis


class PartitionWorker:
    """The part of one worker process that works on one partition, from `run` to `stop`."""

    def __init__(
        self, clients: Clients, keys: Keys, settings: Settings, handlers: Handlers, observers: Observers,
        loop_watch: LoopWatch, shared: Shared,
    ) -> None:  # fmt: skip
        self._clients = clients
        self._keys = keys
        self._settings = settings
        self._handlers = handlers
        self._observers = observers
        self._loop_watch = loop_watch
        self._shared = shared
        self._had_group = False
        self._stopping = asyncio.Event()
        self._on_stop: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Stop reading, and let `run` finish the entries in flight within `drain_timeout_s`."""
        self._stopping.set()
        self._on_stop()

    async def run(self) -> None:
        """Work until stopped. Returns when no batch is in flight, or when the time to drain is over."""
        while not self._stopping.is_set():
            await self._work_under_one_lease()

    async def _work_under_one_lease(self) -> None:
        keys, shared = self._keys, self._shared
        scripts = Scripts(self._clients.redis, keys)
        stream = Stream(self._clients.reader, self._clients.redis, scripts, keys)
        lease = Lease(scripts, stream, keys, self._settings)
        if not await self._begin(lease, stream):
            return
        log.info("working", consumer=lease.consumer, **_where(keys))
        self._observers.spans.work_as(lease.consumer)
        ttl_ms = self._settings.lock_ttl_ms
        locks = Locks(scripts, keys, lease.consumer, lease.token, ttl_ms)
        side_locks = Locks(scripts, keys, f"{lease.consumer}/side", f"{lease.token}/side", ttl_ms)
        async with shared.pool(lease.consumer) as pool:
            worker = Worker(
                stream, locks, side_locks, lease, pool, self._handlers, self._settings, self._observers, shared
            )  # fmt: skip
            self._loop_watch.in_hand[keys] = InHand(lease, (locks, side_locks), worker.in_flight)
            heartbeat = asyncio.create_task(lease.keep_alive([locks, side_locks], worker.entries_held))
            try:
                await self._drive(worker)
            finally:
                del self._loop_watch.in_hand[keys]
                await end(heartbeat)
        if lease.lost.is_set():
            log.warning("this worker lost its lease: it was stopped for too long, or Redis was wiped; it starts again "
                        "under a new one", consumer=lease.consumer, **_where(keys))  # fmt: skip
        await lease.release()

    async def _begin(self, lease: Lease, stream: Stream) -> bool:
        """Ensure the group and acquire a lease, however long Redis takes. Return False if stopped meanwhile."""
        failures = 0
        while not self._stopping.is_set():
            try:
                self._report_new_group(is_new=await stream.ensure_group())
                await lease.acquire()
            except (RedisError, OSError) as error:
                failures += 1
                wait_s = delay_s(failures, self._settings.outage_delay_ms, self._settings.outage_delay_max_ms)
                self._observers.progress.waiting_for(describe(error))
                log.warning("cannot start working; it is tried again", reason=describe(error), wait_s=round(wait_s, 3),
                            **_where(self._keys))  # fmt: skip
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait_s)
            else:
                return True
        return False

    def _report_new_group(self, *, is_new: bool) -> None:
        """Report a group that had to be made again. The first time it is normal: the first worker makes it."""
        if is_new and self._had_group:
            self._observers.metrics.group_recreated()
            log.critical(GROUP_WAS_GONE)
        self._had_group = True

    async def _drive(self, worker: Worker) -> None:
        """Run the worker; after `stop()` it has `drain_timeout_s` to finish."""
        running = asyncio.create_task(worker.run())
        self._on_stop = worker.stop
        if self._stopping.is_set():
            worker.stop()
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({running}, timeout=None if not stopping.done() else self._settings.drain_timeout_s)
            if not running.done():
                log.warning("not finished in time; the open transaction is rolled back, and others take its entries "
                            "over", drain_timeout_s=self._settings.drain_timeout_s)  # fmt: skip
        finally:
            stopping.cancel()
            await end(running)
            self._on_stop = lambda: None


def _where(keys: Keys) -> dict[str, int]:
    """Return what a line of the log says about the partition: nothing in the first one."""
    return {"partition": keys.partition} if keys.partition else {}
