"""The work of one worker process: it works on its share of the partitions, from start to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog

from consumers.address_watch import AddressWatch, redis_identity
from consumers.confirmation.task import Confirming
from consumers.handlers import Handlers
from consumers.handlers.watch import CallWatch
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.loop_watch import LoopWatch
from consumers.maintenance.runner import Maintenance
from consumers.membership import Membership
from consumers.metrics import Metrics
from consumers.observers import Asking, Observers
from consumers.partition_worker import Clients, PartitionWorker
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.shared import Shared
from consumers.spans import EventSpans
from contract.keys import PARTITIONS_MAX, Keys
from runtime.redis_connection import POOL_CONNECTIONS_MAX, client
from runtime.tasks import end
from runtime.tracing import OFF, Tracing

CLIENT_NAME = "payments-consumer"
"""The name of a worker's connections in CLIENT LIST."""

LEAVE_S = 1.0
"""How long Redis may take, once the last batch is finished, to let the others know that this process is gone."""

log = structlog.get_logger()


class Service:
    """The work of a worker process, from start to `stop()`.

    Each partition of its share has a part of its own, with a lease, locks and batches of its own. A partition that the
    share loses is drained; that two processes work on one for a moment is harmless, as two workers may always do so.
    """

    def __init__(
        self, settings: Settings, handlers: Handlers, metrics: Metrics, progress: Progress, hooks: Hooks = no_hooks,
        loop_watch: LoopWatch | None = None, tracing: Tracing = OFF, confirming: Confirming | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._handlers = handlers
        self._loop_watch = loop_watch or LoopWatch(
            settings, CallWatch.of(settings, metrics.durations.handler_took), metrics
        )
        self._progress = progress
        self._tracing = tracing
        self._confirming = confirming
        self._observers = Observers(metrics, progress, self._loop_watch.calls, hooks, asking=confirming or Asking())
        self._shared = Shared(settings)
        self._stopping = asyncio.Event()
        self._parts: dict[int, PartitionWorker] = {}
        self._tasks: dict[asyncio.Task[None], int] = {}

    def stop(self) -> None:
        """Stop reading, and let `run` finish the entries in flight within `drain_timeout_s`."""
        self._stopping.set()
        for part in self._parts.values():
            part.stop()

    async def run(self) -> None:
        """Work until stopped. Returns when no batch is in flight, or when the time to drain is over."""
        async with self._clients() as clients:
            membership = Membership(Scripts(clients.redis, Keys(self._settings.key_prefix)), self._settings)
            asking = asyncio.create_task(membership.ask_postgres(), name="partitions in Postgres")
            maintenance = asyncio.create_task(Maintenance(self._settings, clients.redis).run(), name="maintenance")
            confirming = asyncio.create_task(self._confirm(), name="confirmation")
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                while not self._stopping.is_set():
                    looking = asyncio.create_task(membership.look(), name="share of partitions")
                    await asyncio.wait({looking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    if looking.done() and not self._stopping.is_set():  # nothing is begun that nobody would stop
                        self._share(looking.result() or self._share_without_redis, clients)
                    await end(looking)
                    await self._wait(stopping, membership.look_s)
                await self._leave(membership)
            finally:
                stopping.cancel()
                await end(confirming)
                await end(maintenance)
                await end(asking)
                for task in list(self._tasks):
                    await end(task)

    async def _confirm(self) -> None:
        """Ask the providers' APIs about what no signature proves, where a source wants it."""
        if self._confirming:
            await self._confirming.run()

    @asynccontextmanager
    async def _clients(self) -> AsyncIterator[Clients]:
        """Open the clients of Redis, and watch where its address leads."""
        url, timeout_s = self._settings.redis_url, self._settings.redis_timeout_s
        each_max = POOL_CONNECTIONS_MAX + PARTITIONS_MAX  # one or two of each partition of the share
        connections_max = each_max + PARTITIONS_MAX + 2 * self._settings.side_lane_max
        redis = client(url, timeout_s=timeout_s, name=CLIENT_NAME, connections_max=connections_max)
        reader = client(
            url, timeout_s=timeout_s, name=CLIENT_NAME, blocks_ms=self._settings.block_ms, connections_max=each_max
        )  # fmt: skip

        async def leave_old_redis() -> None:
            for connections in (redis.connection_pool, reader.connection_pool):
                await connections.disconnect()

        watch = AddressWatch("Redis", partial(redis_identity, self._settings), leave_old_redis)
        watching = asyncio.create_task(watch.run(), name="address of Redis")
        try:
            yield Clients(redis, reader)
        finally:
            await end(watching)
            await reader.aclose()
            await redis.aclose()

    @property
    def _share_without_redis(self) -> frozenset[int]:
        """What it works on while Redis does not say what its share is: the same as before; at the start, the first."""
        return frozenset(self._parts) or frozenset({0})

    def _share(self, share: frozenset[int], clients: Clients) -> None:
        """Begin to work on the partitions that are new in the share, and drain those that left it."""
        if share != self._parts.keys() and (len(share) > 1 or self._parts):
            log.info("this worker's share of the partitions is another one now", partitions=sorted(share))
        for number in self._parts.keys() - share:
            self._parts.pop(number).stop()
        draining = set(self._tasks.values()) - self._parts.keys()
        for number in sorted(share - self._parts.keys() - draining):  # what is drained still is begun at the next look
            self._begin(number, clients)
        self._shared.partitions = max(1, len(self._parts))

    def _begin(self, number: int, clients: Clients) -> None:
        keys = Keys(self._settings.key_prefix, number)
        observers = replace(
            self._observers, progress=self._progress.of(number), spans=EventSpans(self._tracing, keys)
        )  # fmt: skip
        part = PartitionWorker(
            clients, keys, self._settings, self._handlers, observers, self._loop_watch, self._shared
        )  # fmt: skip
        self._parts[number] = part
        self._tasks[asyncio.create_task(part.run(), name=f"partition {number}")] = number

    async def _wait(self, stopping: "asyncio.Task[bool]", look_s: float) -> None:
        """Wait until it is time to look again. Raises what a part raised: it cannot work any more."""
        await asyncio.wait({stopping, *self._tasks}, timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
        self._forget_the_done()

    async def _leave(self, membership: Membership) -> None:
        """Let others take over, and finish what is in flight."""
        leaving = asyncio.create_task(membership.leave(), name="leave")
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.wait({leaving}, timeout=LEAVE_S)
        await end(leaving)
        self._forget_the_done()

    def _forget_the_done(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            number = self._tasks.pop(task)
            if number not in self._parts or self._stopping.is_set():
                self._progress.forget(number)
            task.result()
