"""Booking what APIs said: several events in one transaction under their payments' locks, or each alone if one fails."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from consumers.booking import book_events
from consumers.confirmation import store
from consumers.confirmation.store import Said
from consumers.handlers import Connection, Handlers, Outcome
from consumers.handlers.payments import Payments
from consumers.hooks import AskHooks
from consumers.retry import classify
from consumers.settings import Settings
from runtime.tasks import end
from sql import load

EVENTS = load("events")

BOOKED_AT_ONCE = 50
"""Events of one transaction, where no handler is called for a fact. One that calls handlers is of one event, so that
none waits for another one's handlers."""

BOOKERS = 2
"""Transactions at a time of one worker, each on a Postgres connection of its own."""


@dataclass(slots=True)
class _Waiting:
    said: Said
    booked: "asyncio.Future[Outcome | None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, outcome: Outcome | None) -> None:
        if not self.booked.done():
            self.booked.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if not self.booked.done():
            self.booked.set_exception(error)


class Booker:
    """Books what several tasks bring. What comes while a transaction is under way joins the next one."""

    def __init__(
        self, pool: "asyncpg.Pool[Any]", handlers: Handlers, payments: Payments, settings: Settings, hooks: AskHooks
    ) -> None:
        self._pool = pool
        self._handlers = handlers
        self._payments = payments
        self._settings = settings
        self._hooks = hooks
        self._waiting: deque[_Waiting] = deque()
        self._has_come = asyncio.Event()
        self._at_once = 1 if handlers.wanted else BOOKED_AT_ONCE

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Book what comes, until the end of the block."""
        tasks = [asyncio.create_task(self._run(), name=f"booking {number}") for number in range(BOOKERS)]
        try:
            yield
        finally:
            for task in tasks:
                await end(task)

    async def book(self, said: Said) -> Outcome | None:
        """Book an event. Return the outcome of its transaction, or None where it was decided meanwhile.

        Raise what booking it alone raises.
        """
        waiting = _Waiting(said)
        self._waiting.append(waiting)
        self._has_come.set()
        return await waiting.booked

    async def _run(self) -> None:
        while True:
            await self._has_come.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_once))]
            if not self._waiting:
                self._has_come.clear()
            batch = [each for each in batch if not each.booked.done()]  # those that nobody waits for are left to others
            if batch:
                await self._book(batch)

    async def _book(self, batch: Sequence[_Waiting]) -> None:
        try:
            booked, outcome = await self._commit([each.said for each in batch])
        except Exception as error:  # noqa: BLE001 - each becomes a decision about its event
            if len(batch) > 1 and classify(error).kind != "outage":
                for each in batch:
                    await self._book([each])
                return
            for each in batch:
                each.fail(error)
            return
        except asyncio.CancelledError:
            for each in batch:
                each.booked.cancel()
            raise
        self._hooks("confirmed")
        for each in batch:
            is_booked = (each.said.event.namespace, each.said.event.event_id) in booked
            each.end(outcome if is_booked else None)
            if is_booked:
                outcome = Outcome()  # of the whole transaction, counted once

    async def _commit(self, said: Sequence[Said]) -> tuple[set[tuple[str, str]], Outcome]:
        """Book in one transaction. Return those that were due still, and the outcome."""
        settings = self._settings
        async with (
            self._pool.acquire(timeout=settings.acquire_timeout_s) as connection,
            connection.transaction(isolation="read_committed"),
        ):
            events = [each.event for each in said]
            await connection.execute(
                *EVENTS.bind(
                    "lock_resources",
                    namespace=[event.namespace for event in events],
                    resource=[event.resource for event in events],
                )
            )
            return await self._apply(connection, said)

    async def _apply(self, connection: Connection, said: Sequence[Said]) -> tuple[set[tuple[str, str]], Outcome]:
        due = await store.confirm(connection, said)
        events = [each.event for each in said if (each.event.namespace, each.event.event_id) in due]
        if not events:
            return due, Outcome()
        outcome = await book_events(
            connection, self._handlers, self._payments, events, self._settings.handler_timeout_s
        )  # fmt: skip
        return due, outcome
