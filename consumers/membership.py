"""Sharing the partitions among the worker processes of an installation: each gets as many, and none is left out."""

import asyncio
import secrets
import time
from collections.abc import Sequence

import asyncpg
import structlog
from redis.exceptions import RedisError

from consumers.retry import describe
from consumers.scripts import Scripts
from consumers.settings import Settings
from sql import load
from sql.connect import UnreachableError, connect

RESTORES = load("restores")

LOOK_S = 2.0
"""How often, at least, each process looks which partitions are its share: others come and leave, and their number
changes. A process that was killed is noticed when its membership expires, after SLOT_TTL_MS."""

log = structlog.get_logger()


def share_of(token: str, members: Sequence[str], partitions: int) -> frozenset[int]:
    """Return the partitions that a process works on. Each partition has a process, whatever their numbers are."""
    ranked = sorted({*members, token})
    rank, processes = ranked.index(token), len(ranked)
    if processes > partitions:
        return frozenset({rank % partitions})
    return frozenset(range(rank, partitions, processes))


class Membership:
    """One process among all worker processes, from its first look until it leaves.

    The number of partitions is the highest one that Redis, Postgres, or this process' settings know: a partition that
    was ever written to is read for ever. A wiped Redis learns it again from any process, and from Postgres.
    """

    def __init__(self, scripts: Scripts, settings: Settings) -> None:
        self._scripts = scripts
        self._settings = settings
        # By its time first, so that the ranks of the older processes stay as they are when one comes.
        self._token = f"{time.time_ns() // 1_000_000:015d}-{secrets.token_hex(8)}"
        self._known = settings.partitions
        self.partitions = settings.partitions
        """The partitions of the installation, as of the last look."""

    @property
    def look_s(self) -> float:
        """The time between two looks: three before the membership expires."""
        return min(LOOK_S, self._settings.slot_ttl_ms / 3000)

    async def look(self) -> frozenset[int] | None:
        """Renew the membership, and return the partitions that are this process' share; None if Redis is not there."""
        try:
            self.partitions, members = await self._scripts.join(
                self._token, self._settings.slot_ttl_ms, max(self._known, self.partitions)
            )
        except (RedisError, OSError) as error:
            log.debug("the share of partitions cannot be read now; it stays as it is", reason=describe(error))
            return None
        return share_of(self._token, members, self.partitions)

    async def leave(self) -> None:
        """Let the other processes take over at once."""
        try:
            await self._scripts.join(self._token, 0, 1)
        except (RedisError, OSError) as error:
            log.debug("the membership could not be ended; it expires by itself", reason=describe(error))

    async def ask_postgres(self) -> None:
        """Learn which partitions Postgres knows, however long it does not answer: nothing is applied meanwhile."""
        settings, query = self._settings, RESTORES.bind("read_partitions", key_prefix=self._settings.key_prefix)
        while True:
            try:
                async with connect(
                    settings.database_url.get_secret_value(), timeout_s=settings.acquire_timeout_s,
                    pooler=settings.database_pooler,
                ) as connection:  # fmt: skip
                    self._known = max(self._known, await connection.fetchval(*query))
                    return
            except (OSError, UnreachableError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.debug("Postgres cannot be asked now which partitions it knows", reason=describe(error))
            await asyncio.sleep(LOOK_S)
