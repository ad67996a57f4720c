"""The resource locks in Redis: they keep workers out of each other's way. What keeps results right is in Postgres."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError

from consumers.scripts import Scripts
from contract.keys import Keys

log = structlog.get_logger()


class Locks:
    """The locks one worker holds, under one token. They are renewed by its heartbeat while they are in `held`."""

    def __init__(self, scripts: Scripts, keys: Keys, token: str, ttl_ms: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self.token = token
        self._ttl_ms = ttl_ms
        self.held: frozenset[str] = frozenset()

    @asynccontextmanager
    async def hold(self, resources: Iterable[tuple[str, str]]) -> AsyncIterator[set[tuple[str, str]]]:
        """Takes the locks of `(namespace, resource)` pairs in one step; yields those that are ours, and releases them.

        Raises RedisError when they cannot be taken. A failed release is logged: the locks expire.
        """
        wanted = sorted(set(resources))
        names = [self._keys.lock(namespace, resource) for namespace, resource in wanted]
        taken = await self._scripts.acquire_locks(names, self.token, self._ttl_ms) if names else []
        self.held = frozenset(name for name, is_ours in zip(names, taken, strict=True) if is_ours)
        try:
            yield {pair for pair, is_ours in zip(wanted, taken, strict=True) if is_ours}
        finally:
            await self._release()

    def hand_over(self) -> list[str]:
        """The names of the locks held, for somebody who releases them; they are not renewed any more."""
        names, self.held = sorted(self.held), frozenset()
        return names

    async def _release(self) -> None:
        names = self.hand_over()
        try:
            if names:
                await self._scripts.release_locks(names, self.token)
        except RedisError as error:
            log.warning("locks not released; they expire by themselves", locks=len(names), ttl_ms=self._ttl_ms,
                        error=str(error))  # fmt: skip
