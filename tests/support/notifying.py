"""Notifiers at times of a test's choosing, and things that wait for a person."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from consumers.settings import Settings as WorkerSettings
from operations.notify.notifier import Notifier, Sent
from operations.notify.settings import Settings
from operations.servers import Servers
from tests.support.receiver import NOTIFY_SECRET

DELAY_S = 30.0
REPEAT_S = 60.0
"""The least that is allowed: the receiver's library accepts times within five minutes of its own."""

DEAD = """
INSERT INTO dead_letters (entry_id, reason, traceback, attempts, field_names, field_values)
VALUES ($1, 'card 4242 of ada@example.com', '', 1, '{}', '{}')
"""
DISCARD = "UPDATE dead_letters SET state = 'discarded' WHERE state = 'open'"


@dataclass
class Notifying:
    """Makes notifiers of one installation. Time goes on only where a test says so."""

    workers: WorkerSettings
    connection: asyncpg.Connection
    url: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def settings(self, **changes: Any) -> Settings:
        values = {
            "notify_url": self.url, "notify_secret": NOTIFY_SECRET, "notify_delay_s": DELAY_S,
            "notify_repeat_s": REPEAT_S,
        }  # fmt: skip
        return Settings.model_validate(values | changes)

    def notifier(self, workers: WorkerSettings | None = None, **changes: Any) -> Notifier:
        return Notifier(Servers(workers or self.workers), self.settings(**changes))

    async def look(self, notifier: Notifier, after_s: float = 0) -> Sent:
        """Let time go on, then look and send."""
        self.now += timedelta(seconds=after_s)
        return await notifier.look_and_send(self.now)

    async def dies(self, *entry_ids: str) -> None:
        """Leave open dead letters."""
        for entry_id in entry_ids:
            await self.connection.execute(DEAD, entry_id)

    async def are_discarded(self) -> None:
        await self.connection.execute(DISCARD)
