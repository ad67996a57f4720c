"""The places that fetches from addresses which anyone may have invented share, and how fast they may follow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from providers.base import UnavailableError

FETCHES_MAX = 8
"""Concurrent fetches of one source from addresses that gave no keys before."""

GIVE_WAY_S = 0.5
"""How long such a fetch may take while another address waits for its place. A genuine one takes 0.1 to 0.3 s."""

WAITING_MAX = 64
"""Addresses that may wait for a place."""

FETCHES_PER_S_MAX = 16.0
"""Fetches from such addresses, over time: each is a TLS handshake, which takes about 3 ms of the event loop."""

FETCHES_AT_ONCE_MAX = 128
"""Fetches that were not made in the seconds before, and may be made up for."""


@dataclass(slots=True, eq=False)
class Place:
    """The place of a fetch that is under way."""

    limit: asyncio.Timeout
    gave_way: bool = False


class Places:
    """The places of one source. They are given in the order of arrival."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(FETCHES_MAX)
        self._taken: dict[Place, None] = {}
        self._waiting = 0
        self._allowance = float(FETCHES_AT_ONCE_MAX)
        self._counted_at_s = 0.0

    def check(self) -> None:
        """Count a fetch that will ask for a place. Raise UnavailableError where too many wait, or came."""
        now_s = asyncio.get_running_loop().time()
        earned = (now_s - self._counted_at_s) * FETCHES_PER_S_MAX
        self._allowance = min(self._allowance + earned, float(FETCHES_AT_ONCE_MAX))
        self._counted_at_s = now_s
        if self._waiting >= WAITING_MAX or self._allowance < 1:
            raise UnavailableError("too many addresses of keys are being fetched already")
        self._allowance -= 1

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Place]:
        """Hold a place. Raise TimeoutError within the block when another fetch needs it and this one had its time."""
        await self._take()
        try:
            async with asyncio.timeout(None) as limit:
                place = Place(limit)
                self._taken[place] = None
                try:
                    yield place
                finally:
                    self._taken.pop(place, None)
        finally:
            self._free.release()

    async def _take(self) -> None:
        self._waiting += 1
        try:
            try:
                async with asyncio.timeout(GIVE_WAY_S):
                    await self._free.acquire()
            except TimeoutError:
                self._end_longest()
                await self._free.acquire()
        finally:
            self._waiting -= 1

    def _end_longest(self) -> None:
        """End the fetch that has taken longest. Who waited until now has given it its time."""
        longest = next(iter(self._taken), None)
        if longest is not None:
            del self._taken[longest]
            longest.gave_way = True
            longest.limit.reschedule(asyncio.get_running_loop().time())
