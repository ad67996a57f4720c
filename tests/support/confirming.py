"""Workers that ask a stand-in API about events that no signature proves, and what became of the events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from consumers.confirmation.access import Access
from consumers.handlers import Handlers
from consumers.handlers.payments import builtin
from consumers.settings import Settings
from contract.event import Event
from tests.support.consuming import Running, Workers
from tests.support.stand_ins.objects import Objects
from tests.support.wait import until

STATES = "SELECT event_id, state FROM confirmations ORDER BY event_id"
TRANSFERS = "SELECT movement, amount, currency FROM transfers ORDER BY movement"
ON_HOLD = "SELECT DISTINCT event_id FROM held_back WHERE released_at IS NULL ORDER BY event_id"


@dataclass(frozen=True, slots=True)
class Asking:
    """Workers and the API that they ask."""

    workers: Workers
    settings: Settings
    access: Access
    api: Objects

    @property
    def handlers(self) -> Handlers:
        """The built-in handlers, which record what is to be asked."""
        return builtin({}, self.access.asked)

    @asynccontextmanager
    async def working(self, handlers: Handlers | None = None, **changes: Any) -> AsyncIterator[Running]:
        """Run one worker that asks; `handlers` are further ones."""
        joined = self.handlers.joined_with(handlers) if handlers else self.handlers
        async with self.workers.working(joined, access=self.access, **changes) as running:
            yield running

    async def publish(self, *events: Event) -> None:
        for event in events:
            await self.workers.stream.publish(event)

    async def states(self) -> dict[str, str]:
        """Return the state of each event that is asked about."""
        return dict(await self.workers.rows(STATES))

    async def decided(self, **states: str) -> None:
        """Wait until the events that are asked about have exactly these states."""

        async def are() -> bool:
            return await self.states() == states

        await until(are, what=f"the events are {states}")

    async def transfers(self) -> list[tuple[Any, ...]]:
        return await self.workers.rows(TRANSFERS)

    async def on_hold(self) -> list[str]:
        return [row[0] for row in await self.workers.rows(ON_HOLD)]

    async def assert_sound(self) -> None:
        await self.workers.assert_all_acked()
