"""A worker's lease and heartbeat: a stable name, and proof that its owner lives."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Self

import structlog
from redis.exceptions import RedisError

from consumers.locks import Locks
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.stream import Stream
from contract.keys import Keys

log = structlog.get_logger()

LEASES_MAX = 1024
"""The most workers of one installation."""

_PREFIX = "worker-"
_NAME = re.compile(rb"worker-([1-9][0-9]{0,8})")


class LeasesExhaustedError(Exception):
    """Every worker name has a living owner."""


class Lease:
    """The lowest free worker number, leased under a token and renewed by a heartbeat.

    The consumer's name contains the number, so that a restarted worker gets the same name back, and many short-lived
    workers do not leave many names. Call `acquire` first, run `keep_alive` as a task, and `release` at the end.
    """

    def __init__(self, scripts: Scripts, stream: Stream, keys: Keys, settings: Settings) -> None:
        self._scripts = scripts
        self._stream = stream
        self._keys = keys
        self._settings = settings
        self.number = 0
        self.token = ""
        self.lost = asyncio.Event()
        """Set once another worker may have this one's name: it was stopped for longer than the lease's life."""

    @property
    def consumer(self) -> str:
        """The name in the consumer group: `worker-1`, `worker-2`, …"""
        return f"{_PREFIX}{self.number}"

    async def acquire(self) -> Self:
        """Lease the lowest number without an owner. Raises LeasesExhaustedError, RedisError."""
        for number in range(1, LEASES_MAX + 1):
            token = f"{_PREFIX}{number}:{secrets.token_hex(8)}"
            (is_ours,) = await self._scripts.acquire_locks([self._keys.slot(number)], token, self._settings.slot_ttl_ms)
            if is_ours:
                self.number, self.token = number, token
                await self._scripts.keep_left_attempts(self.consumer)
                self.lost.clear()
                return self
        raise LeasesExhaustedError(f"all {LEASES_MAX} worker names have a living owner; this worker cannot start")

    async def keep_alive(self, locks: Sequence[Locks], entry_ids: Callable[[], Iterable[str]]) -> None:
        """Renew the lease, the locks and the entries in flight until cancelled, or until the lease is lost."""
        while not self.lost.is_set():
            await asyncio.sleep(self._settings.heartbeat_s)
            try:
                kept, locks_lost, entries_lost = await self._scripts.heartbeat(
                    self.number,
                    self.consumer,
                    self.token,
                    slot_ttl_ms=self._settings.slot_ttl_ms,
                    lock_ttl_ms=self._settings.lock_ttl_ms,
                    locks=sorted(name for lane in locks for name in lane.held),
                    entry_ids=list(entry_ids()),
                )
            except (RedisError, OSError) as error:
                log.warning("heartbeat failed; it is tried again", consumer=self.consumer, error=str(error))
                continue
            if locks_lost or entries_lost:
                log.warning("others took over what this worker held; Postgres decides who applies it",
                            consumer=self.consumer, locks=locks_lost, entries=entries_lost)  # fmt: skip
            if not kept:
                self.lost.set()

    async def forget_dead_consumers(self) -> None:
        """Remove the names of workers that crashed or were scaled down: they have no entries and no living owner."""
        for name in await self._stream.idle_consumers():
            of_a_worker = _NAME.fullmatch(name)
            if of_a_worker and (number := int(of_a_worker[1])) != self.number:
                await self._scripts.forget_consumer(f"{_PREFIX}{number}", number)

    async def release(self) -> None:
        """Give the lease back, and remove the name from the group unless it still has pending entries."""
        try:
            await self._scripts.forget_consumer(self.consumer, self.number, self.token)
        except RedisError as error:
            log.warning("lease not released; it expires by itself", consumer=self.consumer, error=str(error))
