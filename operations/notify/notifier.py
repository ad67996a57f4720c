"""The notifier: looks at what waits for a person, decides, and sends.

It runs within the console, and as `python -m operations notify`. However many run, each message is sent once: what the
receiver knows is in Postgres, and a message is kept there before it is sent, so that a program that dies before it has
noted the answer, or another one, sends the same message with the same id.

While Postgres does not answer, that is in the memory of each program: each of them sends one message that Postgres does
not answer, with an id of its own. What it did meanwhile is noted once Postgres answers again.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog

from operations.notify.kinds import GATEWAY, KINDS, OLDEST, POSTGRES, REDIS, Found
from operations.notify.look import Seen, look
from operations.notify.receiver import TIMEOUT_S, Outcome, Receiver
from operations.notify.settings import Settings
from operations.notify.standing import Standing, Times, decide, delivered, merged, not_delivered
from operations.notify.store import decide_kept, keep, lock_due
from operations.servers import Servers
from sql.connect import UnreachableError

EVERY_S = 15.0
"""How often it looks, jittered."""

log = structlog.get_logger()


@dataclass(slots=True)
class Sent:
    """The messages of one look: how many were delivered, and how many were not."""

    delivered: int = 0
    failed: int = 0


class Notifier:
    """One program's notifier. `at_once`: NOTIFY_DELAY_S is not waited for."""

    def __init__(self, servers: Servers, settings: Settings, *, at_once: bool = False) -> None:
        self._servers = servers
        self._settings = settings
        self._receiver = Receiver(settings)
        delay_s = 0 if at_once else settings.notify_delay_s
        self._times = Times(timedelta(seconds=delay_s), timedelta(seconds=settings.notify_repeat_s))
        self._known: dict[str, Standing] = {}
        """What was last read from Postgres, or decided without it."""
        self._apart: set[str] = set()
        """The kinds about which something was decided or sent that Postgres does not know."""

    async def run(self) -> NoReturn:
        """Look now and then until cancelled. Whatever fails is logged, and tried again."""
        log.info("what waits for a person is notified", host=self._receiver.host, every_s=EVERY_S)
        while True:
            try:
                await self.look_and_send(datetime.now(UTC))
            except Exception:
                log.exception("what waits for a person could not be notified; it is tried again", again_s=EVERY_S)
            await asyncio.sleep(EVERY_S * random.uniform(0.9, 1.1))  # noqa: S311 - so that programs do not look in step

    async def look_and_send(self, now: datetime) -> Sent:
        """Look once, and send what is due."""
        seen = await look(self._servers, self._settings, now)
        sent = Sent()
        if not seen[POSTGRES].count:
            try:
                await self._decide_with_postgres(seen, now)
                while await self._send_kept(now, sent):
                    pass
            except UnreachableError as error:
                log.warning("what was notified could not be kept in Postgres", reason=str(error))
                seen |= {POSTGRES: Found(1)}
            else:
                return sent
        await self._notify_without_postgres(seen, now, sent)
        return sent

    def _decide(self, seen: Seen, now: datetime) -> Callable[[str, Standing], Standing]:
        def decided(kind: str, before: Standing) -> Standing:
            return decide(KINDS[kind], before, seen[kind], now, self._times, self._settings.console_url)

        return decided

    async def _decide_with_postgres(self, seen: Seen, now: datetime) -> None:
        decided = self._decide(seen, now)

        def with_mine(kind: str, kept: Standing) -> Standing:
            return decided(kind, merged(kept, self._known[kind]) if kind in self._apart else kept)

        async with self._servers.postgres() as connection:
            standings = await decide_kept(connection, self._servers.keys.prefix, seen, with_mine)
        self._known |= standings
        self._apart -= standings.keys()

    async def _send_kept(self, now: datetime, sent: Sent) -> bool:
        """Send one message that is due, and note in the same transaction what became of it.

        Return whether there may be more to send now: not after a failure, so that a slow receiver holds up one look.
        """
        prefix = self._servers.keys.prefix
        limit_s = TIMEOUT_S + self._servers.settings.statement_timeout_s
        async with self._servers.postgres(limit_s) as connection, connection.transaction():
            due = await lock_due(connection, prefix, now)
            if due is None:
                return False
            kind, standing = due
            outcome = await self._send(kind, standing, now, sent)
            await keep(connection, prefix, kind, self._known[kind])
        self._apart.discard(kind)
        return outcome is not Outcome.FAILED

    async def _notify_without_postgres(self, seen: Seen, now: datetime, sent: Sent) -> None:
        decided = self._decide(seen, now)
        for kind in (POSTGRES, REDIS, GATEWAY, OLDEST):
            if kind in seen:
                self._note_apart(kind, decided(kind, self._known.get(kind, Standing())))
        for kind, standing in list(self._known.items()):
            if standing.is_due(now) and await self._send(kind, standing, now, sent) is Outcome.FAILED:
                break

    def _note_apart(self, kind: str, standing: Standing) -> None:
        if standing != self._known.get(kind):
            self._known[kind] = standing
            self._apart.add(kind)

    async def _send(self, kind: str, standing: Standing, now: datetime, sent: Sent) -> Outcome:
        outcome = await self._receiver.send(standing.message_id or "", standing.message or "")
        if outcome is Outcome.DELIVERED:
            sent.delivered += 1
            self._note_apart(kind, delivered(standing))
        else:
            sent.failed += 1
            is_refused = outcome is Outcome.REFUSED
            self._note_apart(kind, not_delivered(standing, now, self._times, is_refused=is_refused))
        return outcome
