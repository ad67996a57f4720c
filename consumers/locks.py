"""The resource locks in Redis. They keep workers from waiting for each other; Postgres keeps the results right."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError

from consumers.entry import Entry
from consumers.scripts import Scripts
from contract.keys import Keys

log = structlog.get_logger()


class Locks:
    """The locks one worker holds, under one token. The heartbeat renews those in `held`.

    With the locks, the attempts that begin under them are recorded: should the worker die, its next owner counts them.
    """

    def __init__(self, scripts: Scripts, keys: Keys, consumer: str, token: str, ttl_ms: int) -> None:
        self._consumer = consumer
        self._scripts = scripts
        self._keys = keys
        self.token = token
        self._ttl_ms = ttl_ms
        self.held: frozenset[str] = frozenset()

    @asynccontextmanager
    async def hold_one(self, entry: Entry, begun: Iterable[Entry]) -> AsyncIterator[bool]:
        """Acquire one entry's lock, yield whether that worked, and release it. Others may be held meanwhile.

        `begun`: all entries whose attempts are under way in this lane, this one too.
        """
        name = self._keys.lock(*entry.resource_key)
        begins = (self._consumer, [" ".join(f"{each.entry_id}={each.attempt}" for each in begun)])
        (is_ours,) = await self._scripts.acquire_locks([name], self.token, self._ttl_ms, begins)
        if not is_ours or name in self.held:  # the lock is this lane's already, for another event of the same payment
            yield False
            return
        self.held |= {name}
        try:
            yield True
        finally:
            self.held -= {name}
            await self._release([name])

    @asynccontextmanager
    async def hold(self, entries: Iterable[Entry]) -> AsyncIterator[set[tuple[str, str]]]:
        """Acquire the entries' locks in one step, yield the resources that could be locked, and release them.

        Raises RedisError if they cannot be acquired. A failed release is logged: the locks expire.
        """
        attempts: dict[tuple[str, str], str] = {}
        for entry in entries:
            attempt, key = f"{entry.entry_id}={entry.attempt}", entry.resource_key
            attempts[key] = f"{attempts[key]} {attempt}" if key in attempts else attempt
        wanted = sorted(attempts)
        names = [self._keys.lock(namespace, resource) for namespace, resource in wanted]
        begins = (self._consumer, [attempts[pair] for pair in wanted])
        acquired = await self._scripts.acquire_locks(names, self.token, self._ttl_ms, begins) if names else []
        self.held = frozenset(name for name, is_ours in zip(names, acquired, strict=True) if is_ours)
        try:
            yield {pair for pair, is_ours in zip(wanted, acquired, strict=True) if is_ours}
        finally:
            await self._release(self.hand_over())

    def hand_over(self) -> list[str]:
        """Return the names of the locks held, for the ack that releases them. They are not renewed any more."""
        names, self.held = sorted(self.held), frozenset()
        return names

    async def _release(self, names: Sequence[str]) -> None:
        try:
            if names:
                await self._scripts.release_locks(names, self.token)
        except RedisError as error:
            log.warning("locks not released; they expire by themselves", locks=len(names), ttl_ms=self._ttl_ms,
                        error=str(error))  # fmt: skip
