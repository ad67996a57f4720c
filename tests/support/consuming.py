"""Workers within the test's own process, on real servers, and the checks of what they did."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from redis.asyncio import Redis

from consumers.confirmation.access import Access
from consumers.confirmation.task import Confirming
from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from consumers.health import Progress
from consumers.hooks import Hook, Hooks, no_hooks
from consumers.metrics import Metrics
from consumers.service import Service
from consumers.settings import Settings
from contract.event import Event
from contract.keys import GROUP, Keys
from operations.stream_accounting import account_for_entries
from runtime.tracing import OFF, Tracing
from sql.audit import audit
from tests.support.events import contract_event
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
    "confirm_timeout_s": 1,
    "confirm_per_s": 10_000,
}
"""Limits short enough for a test to wait for; production's are many times longer."""

QUICK_ENV = {name.upper(): str(value) for name, value in QUICK.items()}


POISON = "evt_poison"
"""The event that `failing` handlers fail for."""


@dataclass
class Running:
    """One running worker."""

    service: Service
    task: asyncio.Task[None]
    progress: Progress
    metrics: Metrics

    async def stop(self) -> None:
        """Stop the worker as SIGTERM does, and wait for its end. Raises the worker's error."""
        self.service.stop()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await self.task

    def counted(self, metric: str) -> float:
        """Return the sum of a counter over its labels."""
        lines = self.metrics.render().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"webhook_consumer_{metric}"))


@dataclass
class Workers:
    """Workers on one stream and one database, and the state of both."""

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
        self, handlers: Handlers = HANDLERS, hooks: Hooks = no_hooks, tracing: Tracing = OFF,
        access: Access | None = None, **changes: Any,
    ) -> AsyncIterator[Running]:  # fmt: skip
        """Run one worker while the block lasts; then stop it: it must end without an error.

        `access`: the APIs that it asks; its handlers must know them too.
        """
        settings = self.settings.model_copy(update=QUICK | changes)
        metrics, progress = Metrics(), Progress()
        confirming = Confirming(access, {}, settings, handlers, metrics) if access else None
        service = Service(settings, handlers, metrics, progress, hooks, tracing=tracing, confirming=confirming)
        running = Running(service, asyncio.create_task(service.run()), progress, metrics)
        try:
            yield running
        finally:
            await running.stop()

    async def publish(self, n: int, *, first: int = 0) -> list[str]:
        """Publish `n` events of `n` payments; return their entry ids."""
        return [await self.stream.publish(contract_event(f"evt_{i}", f"pi_{i}")) for i in range(first, first + n)]

    async def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.connection.fetch(query, *arguments)]

    async def row(self, query: str, *arguments: object) -> tuple[Any, ...]:
        (row,) = await self.rows(query, *arguments)
        return row

    async def events(self) -> list[str]:
        """Return the ids of the events that are applied."""
        return [row[0] for row in await self.rows("SELECT event_id FROM events ORDER BY event_id")]

    async def deliver(self, consumer: str, entry_id: str, deliveries: int) -> None:
        """Give an entry this many deliveries, the last of them to a consumer that has been gone for an hour."""
        await self.redis.xclaim(
            self.keys.events, GROUP, consumer, 0, [entry_id], idle=3_600_000, retrycount=deliveries, justid=True
        )

    async def begun(self, consumer: str, *entry_ids: str, attempt: int) -> None:
        """Leave the entries as a worker does that died an hour ago during this attempt of each."""
        attempts = [f"{entry_id}={attempt}" for entry_id in entry_ids]
        before: Any = await self.redis.hget(self.keys.begun, consumer)
        await self.redis.hset(self.keys.begun, consumer, " ".join([*([before.decode()] if before else []), *attempts]))
        for entry_id in entry_ids:
            await self.deliver(consumer, entry_id, attempt)

    async def has_events(self, at_least: int) -> bool:
        return len(await self.events()) >= at_least

    async def has_applied(self, exactly: int) -> bool:
        return len(await self.events()) == exactly

    async def dead(self) -> list[tuple[Any, ...]]:
        """Return the dead letters: event id, state, attempts, reason."""
        return await self.rows("SELECT event_id, state, attempts, reason FROM dead_letters ORDER BY id")

    async def pending(self) -> dict[str, tuple[str, int]]:
        """Return the pending list: entry id → consumer, deliveries."""
        rows: list[Any] = await self.redis.xpending_range(self.keys.events, GROUP, "-", "+", 1000)
        return {r["message_id"].decode(): (r["consumer"].decode(), r["times_delivered"]) for r in rows}

    async def consumers(self) -> list[str]:
        """Return the names in the group."""
        return sorted(c["name"].decode() for c in await self.redis.xinfo_consumers(self.keys.events, GROUP))

    async def names(self) -> list[str]:
        """Return the names in the group, or none where there is no group yet."""
        return await self.consumers() if await self.redis.xinfo_groups(self.keys.events) else []

    async def has_pending(self, entry_id: str, consumer: str) -> bool:
        """Return whether the entry is pending for the consumer."""
        return (await self.names()) != [] and (await self.pending()).get(entry_id, ("", 0))[0] == consumer

    async def leases(self) -> list[int]:
        """Return the numbers of the leases that have a living owner."""
        return [number for number in range(1, 10) if await self.redis.exists(self.keys.slot(number))]

    async def has_leases(self, *numbers: int) -> bool:
        return await self.leases() == list(numbers)

    async def drained_now(self) -> bool:
        """Return whether the stream is empty."""
        return await self._is_empty()

    async def drained(self) -> None:
        """Wait until the stream is empty."""
        await until(self._is_empty, what="the stream is drained")

    async def failure_recorded(self) -> None:
        """Wait until a worker has recorded why an entry waits."""
        await until(lambda: self.redis.hlen(self.keys.failures), what="it is recorded why an entry waits")

    async def findings(self) -> Sequence[str]:
        """Return every broken invariant, and every sum that does not agree."""
        found = await audit(self.connection)
        _, more = await account_for_entries(self.redis, self.keys, self.connection, timeout_s=AUDIT_TIMEOUT_S)
        return [f"{finding.name}: {finding.rows}" for finding in [*found, *more]]

    async def assert_all_acked(self, but: Sequence[str] = ()) -> None:
        """Check that the stream and the pending list are empty, no failure is recorded, and every sum agrees.

        `but`: what the audit finds all the same.
        """
        assert not await self.stream.entries()
        assert not await self.pending()
        assert not await self.redis.hgetall(self.keys.failures)
        if but:
            assert await self.finding_names() == list(but)
        else:
            assert await self.findings() == []

    async def finding_names(self) -> list[str]:
        """Return the names of what the audit finds."""
        return [finding.partition(":")[0] for finding in await self.findings()]

    async def _is_empty(self) -> bool:
        return not await self.redis.xlen(self.keys.events)


def failing(error: Exception | None = None, *, times: int = 1_000_000) -> Handlers:
    """Return the built-in handlers, and one that fails `times` times, for the POISON event only."""
    handlers, left = HANDLERS.joined_with(Handlers()), times

    @handlers.on("stripe", "payment_intent.succeeded")
    async def fail(_: Connection, event: Event) -> None:
        nonlocal left
        if event.event_id == POISON and left > 0:
            left -= 1
            raise error or ValueError("the moon is in the wrong house")

    return handlers


def once_at(hook: Hook, action: Callable[[], Awaitable[object]]) -> Hooks:
    """Return hooks that halt the worker at the first such step until `action` is done, in a thread of its own."""
    done = False

    def hooks(reached: Hook) -> None:
        nonlocal done
        if reached == hook and not done:
            done = True
            in_thread(action)

    return hooks


def in_thread(action: Callable[[], Awaitable[object]]) -> None:
    """Run it to its end while this thread, and so its event loop, is blocked."""

    async def run() -> None:
        await action()

    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(run())).result()
