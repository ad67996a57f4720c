"""Workers within the test's own process, on real servers: started, drained, and asked whether the sums agree."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from redis.asyncio import Redis

from consumers.handlers import Handlers
from consumers.handlers.payments import HANDLERS
from consumers.health import Progress
from consumers.hooks import Hook, Hooks, no_hooks
from consumers.metrics import Metrics
from consumers.service import Service
from consumers.settings import Settings
from contract.keys import GROUP, Keys
from operations.stream_accounting import account_for_entries
from sql.audit import audit
from tests.support.stream_states import Stream
from tests.support.wait import until

STOP_TIMEOUT_S = 15.0
"""How long a worker may take to finish after a test."""

AUDIT_TIMEOUT_S = 30.0

QUICK: dict[str, Any] = {
    "block_ms": 50,
    "lock_ttl_ms": 300,
    "claim_idle_ms": 600,
    "slot_ttl_ms": 500,
    "busy_delay_ms": 10,
    "retry_delay_ms": 20,
    "retry_delay_max_ms": 200,
    "outage_delay_ms": 20,
    "outage_delay_max_ms": 100,
    "redis_timeout_s": 1,
    "acquire_timeout_s": 2,
    "statement_timeout_s": 3,
    "row_lock_timeout_s": 1,
    "transaction_idle_s": 1,
    "handler_timeout_s": 0.5,
    "drain_timeout_s": 3,
}
"""Limits as a test can wait for them; production's are many times that."""

QUICK_ENV = {name.upper(): str(value) for name, value in QUICK.items()}


@dataclass
class Running:
    """One worker at work."""

    service: Service
    task: asyncio.Task[None]
    progress: Progress
    metrics: Metrics

    async def stop(self) -> None:
        """SIGTERM, and its end. Raises what the worker raised."""
        self.service.stop()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await self.task


@dataclass
class Workers:
    """What a test needs around its workers."""

    stream: Stream
    connection: asyncpg.Connection
    settings: Settings

    @property
    def redis(self) -> Redis:
        return self.stream.redis

    @property
    def keys(self) -> Keys:
        return self.stream.keys

    @asynccontextmanager
    async def working(
        self, handlers: Handlers = HANDLERS, hooks: Hooks = no_hooks, **changes: Any
    ) -> AsyncIterator[Running]:
        """One worker while the block lasts; then it is stopped, and must end without an error."""
        settings = self.settings.model_copy(update=QUICK | changes)
        metrics, progress = Metrics(), Progress()
        service = Service(settings, handlers, metrics, progress, hooks)
        running = Running(service, asyncio.create_task(service.run()), progress, metrics)
        try:
            yield running
        finally:
            await running.stop()

    async def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.connection.fetch(query, *arguments)]

    async def row(self, query: str, *arguments: object) -> tuple[Any, ...]:
        (row,) = await self.rows(query, *arguments)
        return row

    async def events(self) -> list[str]:
        """The ids of the events that are applied."""
        return [row[0] for row in await self.rows("SELECT event_id FROM events ORDER BY event_id")]

    async def dead(self) -> list[tuple[Any, ...]]:
        """The dead letters: event id, state, attempts, reason."""
        return await self.rows("SELECT event_id, state, attempts, reason FROM dead_letters ORDER BY id")

    async def pending(self) -> dict[str, tuple[str, int]]:
        """The pending list: entry id → consumer, deliveries."""
        rows: list[Any] = await self.redis.xpending_range(self.keys.events, GROUP, "-", "+", 1000)
        return {r["message_id"].decode(): (r["consumer"].decode(), r["times_delivered"]) for r in rows}

    async def consumers(self) -> list[str]:
        """The names in the group."""
        return sorted(c["name"].decode() for c in await self.redis.xinfo_consumers(self.keys.events, GROUP))

    async def drained(self) -> None:
        """Waits until nothing is left in the stream."""
        await until(self._is_empty, what="the stream is drained")

    async def noted(self) -> None:
        """Waits until a worker has left word of why an entry waits."""
        await until(lambda: self.redis.hlen(self.keys.failures), what="it is noted why an entry waits")

    async def findings(self) -> Sequence[str]:
        """Every invariant that is broken, and every sum that does not agree."""
        found = await audit(self.connection)
        _, more = await account_for_entries(self.redis, self.keys, self.connection, timeout_s=AUDIT_TIMEOUT_S)
        return [f"{finding.name}: {finding.rows}" for finding in [*found, *more]]

    async def assert_settled(self) -> None:
        """Nothing left in the stream or pending, nothing noted as failing, every sum agrees."""
        assert not await self.stream.entries()
        assert not await self.pending()
        assert not await self.redis.hgetall(self.keys.failures)
        assert await self.findings() == []

    async def _is_empty(self) -> bool:
        return not await self.redis.xlen(self.keys.events)


def once_at(hook: Hook, action: Callable[[], Awaitable[object]]) -> Hooks:
    """A watch that halts the worker at the first such moment until `action` is done, in a thread with its own loop."""
    done = False

    def hooks(reached: Hook) -> None:
        nonlocal done
        if reached == hook and not done:
            done = True
            in_thread(action)

    return hooks


def in_thread(action: Callable[[], Awaitable[object]]) -> None:
    """Runs it to its end while this thread, and so its event loop, stands still."""

    async def run() -> None:
        await action()

    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(run())).result()
