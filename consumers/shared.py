"""What the partitions of one worker process share, so that its limits hold in sum, and no partition starves."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from consumers.address_watch import AddressWatch, postgres_identity
from consumers.settings import Settings
from consumers.store import open_pool
from runtime.tasks import end

if TYPE_CHECKING:
    import asyncpg


class Seats:
    """The places of the side lanes: SIDE_LANE_MAX attempts at a time, whichever partition they are of."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._lanes: deque[Callable[[], None]] = deque()

    def add(self, start_due: Callable[[], None]) -> None:
        """Offer free seats to one more lane from now on, by this function of it."""
        self._lanes.append(start_due)

    def remove(self, start_due: Callable[[], None]) -> None:
        """Offer this lane no more seats."""
        if start_due in self._lanes:
            self._lanes.remove(start_due)

    @property
    def has_free(self) -> bool:
        """Whether another attempt may begin."""
        return self._free > 0

    def take(self) -> None:
        """Begin an attempt."""
        self._free -= 1

    def give_back(self) -> None:
        """End an attempt. Each time another lane may take the seat first."""
        self._free += 1
        self._lanes.rotate(-1)
        for start_due in list(self._lanes):
            start_due()


class Turns:
    """One batch at a time is applied, as with one partition: several at once would be as many small ones.

    What comes meanwhile joins the batch that waits. So an event costs the same, however many partitions there are.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def of(self, batch: Sequence[object]) -> AsyncIterator[bool]:
        """Wait for the turn of a batch. Yields whether it had to wait; an empty one has nothing to wait for."""
        if not batch:
            yield False
            return
        waits = self._lock.locked()
        async with self._lock:
            yield waits


class Shared:
    """The connections to Postgres, and how much each partition may have in hand."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.partitions = 1
        """How many partitions the process works on now: each may delay this part of PARKED_MAX."""
        self.turns = Turns()
        self.seats = Seats(settings.side_lane_max)
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool[Any] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._users = 0

    @asynccontextmanager
    async def pool(self, consumer: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
        """Open the pool with the first partition that works, and close it with the last one.

        `consumer`: the name under which Postgres shows its connections.
        """
        async with self._opening:
            pool = self._pool
            if pool is None:
                self._pool = pool = await open_pool(self._settings, consumer)
                watch = AddressWatch("Postgres", partial(postgres_identity, self._settings), pool.expire_connections)
                self._watching = asyncio.create_task(watch.run(), name="address of Postgres")
            self._users += 1
        try:
            yield pool
        finally:
            self._users -= 1
            if not self._users:
                watching, self._watching, self._pool = self._watching, None, None
                if watching:
                    await end(watching)
                await pool.close()
