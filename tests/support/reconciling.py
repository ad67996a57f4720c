"""Comparing a source with a stand-in's list, on real servers: what is listed, what arrived, and what a run finds."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from contract.event import Event
from operations.log import Act
from operations.reconcile.run import Reconciliation, Report, Wanted
from operations.reconcile.store import Finding, list_findings, read_reconciliations
from operations.reconcile.store import Reconciliation as Row
from operations.servers import Servers
from operations.settings import Settings
from providers.api import Api
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.stand_ins.listing import EventsApi, Listing, api_of

ACT = Act("ada", "an outage of the gateway", "command")
NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(hours=12)


def happened(number: int, minutes_ago: float = 60, **changes: Any) -> Event:
    """Return the event of a payment that happened a while ago."""
    time = NOW - timedelta(minutes=minutes_ago)
    return contract_event(f"evt_{number}", f"pi_{number}", occurred_at=time, **changes)


EVENTS = [happened(number) for number in range(6)]


def operations_settings(workers: Workers, **changes: Any) -> Settings:
    """Return the settings of operations on the test's servers: an event is missing at once."""
    own = {"reconcile_grace_s": 0.0} | changes
    return Settings.model_construct(**dict(workers.settings) | own)


@dataclass
class Reconciler:
    """An operator who compares one source with what `listing` lists."""

    workers: Workers
    listing: Listing
    kind: type[Api] = EventsApi
    settings: dict[str, Any] = field(default_factory=dict)
    access: dict[str, Any] = field(default_factory=dict)

    @property
    def servers(self) -> Servers:
        return Servers(operations_settings(self.workers, **self.settings))

    def api(self) -> Api:
        return api_of(self.kind, self.listing.url, **self.access)

    async def run(
        self, *, repair: bool = False, since: datetime | None = SINCE, from_nothing: bool = True, **wanted: Any
    ) -> Report:
        """Compare once."""
        chosen = Wanted(repair=repair, since=since, from_nothing=from_nothing, **wanted)
        return await Reconciliation(self.servers, self.api(), ACT).run(chosen)

    async def arrive(self, *events: Event) -> None:
        """Deliver events, and wait until they are applied."""
        for event in events:
            await self.workers.stream.publish(event)
        await self.drain()

    async def drain(self) -> None:
        """Have a worker apply what waits."""
        async with self.workers.working():
            await self.workers.drained()

    async def findings(self, *, only_open: bool = True) -> list[Finding]:
        return await list_findings(self.workers.connection, only_open=only_open, limit=100)

    async def row(self) -> Row:
        (row,) = await read_reconciliations(self.workers.connection)
        return row
