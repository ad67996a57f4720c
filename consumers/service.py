"""One worker's life: acquire a lease, work under it, release it. After a lost lease it starts again under another."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.address_watch import AddressWatch, postgres_identity, redis_identity
from consumers.handlers import Handlers
from consumers.handlers.watch import CallWatch
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.lease import Lease
from consumers.locks import Locks
from consumers.loop_watch import InHand, LoopWatch
from consumers.maintenance.runner import Maintenance
from consumers.metrics import Metrics
from consumers.observers import Observers
from consumers.retry import delay_s, describe
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.spans import EventSpans
from consumers.store import open_pool
from consumers.stream import GROUP_WAS_GONE, Stream
from consumers.worker import Worker
from contract.keys import Keys
from runtime.redis_connection import POOL_CONNECTIONS_MAX, client
from runtime.tasks import end
from runtime.tracing import OFF, Tracing

CLIENT_NAME = "payments-consumer"
"""The name of a worker's connections in CLIENT LIST."""

log = structlog.get_logger()


class Service:
    """The work of a worker process, from start to `stop()`."""

    def __init__(
        self, settings: Settings, handlers: Handlers, metrics: Metrics, progress: Progress, hooks: Hooks = no_hooks,
        loop_watch: LoopWatch | None = None, tracing: Tracing = OFF,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._handlers = handlers
        self._loop_watch = loop_watch or LoopWatch(
            settings, CallWatch.of(settings, metrics.durations.handler_took), metrics
        )
        spans = EventSpans(tracing, Keys(settings.key_prefix))
        self._observers = Observers(metrics, progress, self._loop_watch.calls, hooks, spans)
        self._had_group = False
        self._stopping = asyncio.Event()
        self._on_stop: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Stop reading, and let `run` finish the entries in flight within `drain_timeout_s`."""
        self._stopping.set()
        self._on_stop()

    async def run(self) -> None:
        """Work until stopped. Returns when no batch is in flight, or when the time to drain is over."""
        url, timeout_s = self._settings.redis_url, self._settings.redis_timeout_s
        redis = client(
            url,
            timeout_s=timeout_s,
            name=CLIENT_NAME,
            connections_max=POOL_CONNECTIONS_MAX + 2 * self._settings.side_lane_max,
        )
        reader = client(url, timeout_s=timeout_s, name=CLIENT_NAME, blocks_ms=self._settings.block_ms)

        async def leave_old_redis() -> None:
            for connections in (redis.connection_pool, reader.connection_pool):
                await connections.disconnect()

        watch = AddressWatch("Redis", partial(redis_identity, self._settings), leave_old_redis)
        watching = asyncio.create_task(watch.run(), name="address of Redis")
        maintenance = asyncio.create_task(Maintenance(self._settings, redis).run(), name="maintenance")
        try:
            while not self._stopping.is_set():
                await self._work_under_one_lease(redis, reader)
        finally:
            await end(maintenance)
            await end(watching)
            await reader.aclose()
            await redis.aclose()

    async def _work_under_one_lease(self, redis: Redis, reader: Redis) -> None:
        keys = Keys(self._settings.key_prefix)
        scripts = Scripts(redis, keys)
        stream = Stream(reader, redis, scripts, keys)
        lease = Lease(scripts, stream, keys, self._settings)
        if not await self._begin(lease, stream):
            return
        log.info("working", consumer=lease.consumer)
        self._observers.spans.work_as(lease.consumer)
        ttl_ms = self._settings.lock_ttl_ms
        locks = Locks(scripts, keys, lease.consumer, lease.token, ttl_ms)
        side_locks = Locks(scripts, keys, f"{lease.consumer}/side", f"{lease.token}/side", ttl_ms)
        async with await open_pool(self._settings, lease.consumer) as pool:
            worker = Worker(stream, locks, side_locks, lease, pool, self._handlers, self._settings, self._observers)
            self._loop_watch.in_hand = InHand(lease, (locks, side_locks), worker.in_flight)
            heartbeat = asyncio.create_task(lease.keep_alive([locks, side_locks], worker.entries_held))
            watch = AddressWatch("Postgres", partial(postgres_identity, self._settings), pool.expire_connections)
            watching = asyncio.create_task(watch.run(), name="address of Postgres")
            try:
                await self._drive(worker)
            finally:
                self._loop_watch.in_hand = None
                await end(watching)
                await end(heartbeat)
        if lease.lost.is_set():
            log.warning("this worker lost its lease: it was stopped for too long, or Redis was wiped; it starts again "
                        "under a new one", consumer=lease.consumer)  # fmt: skip
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
                log.warning("cannot start working; it is tried again", reason=describe(error), wait_s=round(wait_s, 3))
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
