"""A step of the daily maintenance, and what it works with while it runs."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redis.asyncio import Redis

from consumers.settings import Settings
from contract.keys import Keys
from sql import load
from sql.connect import Connection

MAINTENANCE = load("maintenance")

CLAIM_S = 120.0
"""How long a step stays claimed after its last sign of life: another worker goes on then."""

RENEW_S = 30.0
"""How often a claim is renewed."""


class StepError(Exception):
    """A step could not do all of its work. The text is one sentence."""


class Done(NamedTuple):
    """What a step did: how many rows it removed or moved, and all of it as a sentence."""

    rows: int
    text: str


@dataclass
class Turn:
    """One run of a step: its connections, the settings, and its claim."""

    step: str
    runner: str
    connection: Connection
    redis: Redis
    settings: Settings
    _renewed_s: float = field(default_factory=time.monotonic)

    @property
    def keys(self) -> Keys:
        """The names in Redis."""
        return Keys(self.settings.key_prefix)

    async def fetch(self, query: str, **values: object) -> Any:  # noqa: ANN401 - asyncpg's row
        """Return the row of a query of maintenance.sql, or None. A statement takes STATEMENT_TIMEOUT_S at most."""
        bound = MAINTENANCE.bind(query, **values) if values else (MAINTENANCE[query],)
        return await self.connection.fetchrow(*bound, timeout=self.settings.statement_timeout_s)

    async def renew(self) -> None:
        """Renew the claim if it is time: to be called before each batch. Raise StepError if it was lost."""
        if time.monotonic() - self._renewed_s < RENEW_S:
            return
        if await self.fetch("renew_claim", step=self.step, runner=self.runner, claim_s=CLAIM_S) is None:
            raise StepError("this worker was stopped for too long, and another one has gone on")
        self._renewed_s = time.monotonic()


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done once a day. `run` works in small transactions, so that it may end at any point."""

    name: str
    run: Callable[[Turn], Awaitable[Done]]
