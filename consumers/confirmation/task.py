"""What a worker process does to confirm events: one asker for each source, all with the same bookers."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from consumers.address_watch import AddressWatch, postgres_identity
from consumers.confirmation import store
from consumers.confirmation.access import Access
from consumers.confirmation.asker import Asker, Tools
from consumers.confirmation.booking import BOOKERS, Booker
from consumers.handlers import Handlers
from consumers.handlers.payments import Payments
from consumers.hooks import AskHooks, no_hooks
from consumers.metrics import Metrics
from consumers.observers import Asking
from consumers.retry import INFRASTRUCTURE, describe
from consumers.settings import Settings
from consumers.store import open_pool
from contract.accounts import PostingRules
from contract.event import Event
from runtime.tasks import end

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

CONNECTIONS = BOOKERS + 2
"""The connections to Postgres of a worker that asks: its bookers', and two to claim and to record."""

log = structlog.get_logger()


class Confirming(Asking):
    """Asks the APIs of the sources that a worker has access to; of no source, it does nothing."""

    def __init__(
        self, access: Access, rules: "Mapping[str, PostingRules]", settings: Settings, handlers: Handlers,
        metrics: Metrics, hooks: AskHooks = no_hooks,
    ) -> None:  # fmt: skip
        self._access = access
        self._rules = rules
        self._settings = settings
        self._handlers = handlers
        self._metrics = metrics
        self._hooks = hooks
        self._claimer = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._askers: dict[str, Asker] = {}

    def read(self, events: Iterable[Event]) -> None:
        """Begin to ask about those of these events that are to be asked about whatever facts they have."""
        for event in events if self._askers else ():
            asker = self._askers.get(event.source)
            if asker and asker.must_ask(event) and not self._handlers.is_of_other_mode(event):
                asker.take(event)

    def recorded(self, events: Iterable[Event]) -> None:
        """Book what was answered about these events, which are committed; or look for them at once."""
        for event in events:
            if asker := self._askers.get(event.source):
                asker.recorded(event)

    async def run(self) -> None:
        """Ask until cancelled; return at once where there is nobody to ask."""
        if not self._access.apis:
            return
        self._metrics.confirmation.expect(self._access.apis)
        pool = await open_pool(self._settings, "confirmation", CONNECTIONS, self._settings.row_lock_timeout_s)
        watch = AddressWatch("Postgres", partial(postgres_identity, self._settings), pool.expire_connections)
        watching = asyncio.create_task(watch.run(), name="address of Postgres")
        try:
            await self._run(pool)
        finally:
            await end(watching)
            await self._give_back(pool)
            await pool.close()

    async def _run(self, pool: "asyncpg.Pool[Any]") -> None:
        booker = Booker(pool, self._handlers, Payments(self._rules), self._settings, self._hooks)
        tools = Tools(pool, booker, self._settings, self._metrics, self._hooks, self._claimer)
        self._askers = {source: Asker(source, api, tools) for source, api in self._access.apis.items()}
        tasks = [
            asyncio.create_task(asker.run(), name=f"asking for {source}") for source, asker in self._askers.items()
        ]
        for source, asker in self._askers.items():
            self._access.asked[source].taker = asker.take
        try:
            async with booker.running():
                await asyncio.gather(*tasks)
        finally:
            self._askers = {}
            for asked in self._access.asked.values():
                asked.taker = None
            for task in tasks:
                await end(task)

    async def _give_back(self, pool: "asyncpg.Pool[Any]") -> None:
        """Let others ask at once for what this worker has claimed."""
        try:
            await store.give_back(pool, self._claimer, self._settings.acquire_timeout_s)
        except INFRASTRUCTURE as error:
            log.warning("claims not given back; others ask when they are over", reason=describe(error))
