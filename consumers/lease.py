"""A worker's slot and heartbeat: a name that is stable, and proof that its owner lives."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Self

import structlog
from redis.exceptions import RedisError

from consumers.locks import Locks
from consumers.scripts import Scripts
from consumers.settings import Settings
from consumers.stream import Stream
from contract.keys import Keys

log = structlog.get_logger()

SLOTS_MAX = 1024
"""The most workers of one installation."""

_PREFIX = "worker-"
_NAME = re.compile(rb"worker-([1-9][0-9]{0,8})")


class SlotsExhaustedError(Exception):
    """Every slot has a living owner."""


class SlotLostError(Exception):
    """Another worker has this one's name: it was stopped for longer than the slot's life."""


class Lease:
    """The lowest free slot, leased under a token and renewed by a heartbeat, with all that the worker holds.

    The consumer's name is the slot's, so that a worker that is started again finds the name it had, and a crowd of
    short-lived workers leaves none behind. Use it as an async context manager around the work.
    """

    def __init__(self, scripts: Scripts, stream: Stream, keys: Keys, settings: Settings) -> None:
        self._scripts = scripts
        self._stream = stream
        self._keys = keys
        self._settings = settings
        self.number = 0
        self.token = ""
        self.lost = asyncio.Event()

    @property
    def consumer(self) -> str:
        """The name in the consumer group: `worker-1`, `worker-2`, …"""
        return f"{_PREFIX}{self.number}"

    async def lease(self) -> Self:
        """Takes the lowest slot without an owner. Raises SlotsExhaustedError, RedisError."""
        for number in range(1, SLOTS_MAX + 1):
            token = f"{_PREFIX}{number}:{secrets.token_hex(8)}"
            (is_ours,) = await self._scripts.acquire_locks([self._keys.slot(number)], token, self._settings.slot_ttl_ms)
            if is_ours:
                self.number, self.token = number, token
                self.lost.clear()
                return self
        raise SlotsExhaustedError(f"all {SLOTS_MAX} worker slots have a living owner; this worker cannot start")

    async def keep(self, locks: Locks, entry_ids: Callable[[], Iterable[str]]) -> None:
        """Beats until cancelled or until the slot is lost: renews the slot, the locks and the entries in hand."""
        while not self.lost.is_set():
            await asyncio.sleep(self._settings.heartbeat_s)
            try:
                kept, locks_lost, entries_lost = await self._scripts.heartbeat(
                    self.number,
                    self.consumer,
                    self.token,
                    slot_ttl_ms=self._settings.slot_ttl_ms,
                    lock_ttl_ms=self._settings.lock_ttl_ms,
                    locks=sorted(locks.held),
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
        """Removes names without entries whose slot has no owner: of workers that crashed or were scaled down."""
        for name in await self._stream.idle_consumers():
            of_a_worker = _NAME.fullmatch(name)
            if of_a_worker and (number := int(of_a_worker[1])) != self.number:
                await self._scripts.forget_consumer(f"{_PREFIX}{number}", number)

    async def give_up(self) -> None:
        """Leaves: frees the slot, and the name with it unless entries are still pending under it."""
        try:
            await self._scripts.forget_consumer(self.consumer, self.number, self.token)
        except RedisError as error:
            log.warning("slot not given up; it expires by itself", consumer=self.consumer, error=str(error))
