"""Where the Redis lives that takes our writes: it is asked before each connect, because it may have moved.

A plain address, Sentinel and Cluster are three answers to this one question (runtime/redis_masters.py has the latter
two). A connection asks only `Place.find`.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from redis.exceptions import RedisError

from runtime.addresses import LivingServers, Server, resolve
from runtime.redis_address import show_servers

ASKED_EACH_S = 0.25
"""After how long without an answer, and how often then, it is asked whether another server has taken the place."""


class Place(Protocol):
    """Answers where a server lives now."""

    moves: bool
    """Whether another server may take its place: one that we connect to may turn out not to take writes."""

    async def find(self) -> Server:
        """Return the server to connect to now. Raises RedisError with a sentence, OSError."""

    def fell_silent(self) -> None:
        """Note that connecting to the server took too long."""

    def replaced(self, server: Server) -> bool:
        """Return whether another server was found since this one was."""

    async def is_settled(self, since_s: float) -> bool:
        """Return whether it is certain that a replica, which has left the server since a time of the event loop, is not
        being promoted, or has just been.
        """

    async def require(self, server: Server | None) -> None:
        """Raise RedisError unless this server takes our writes still, as of an answer that cannot be outdated yet."""


class FixedServer:
    """The server at one address. If nothing answered the last time, that address of its name that accepts."""

    moves = False

    def __init__(self, server: Server, living: LivingServers, *, by_name: bool) -> None:
        """`by_name`: the certificate's name is verified, so that it may not be replaced by its address."""
        self._server = server
        self._living = living
        self._by_name = by_name
        self._address = show_servers((server,))

    async def find(self) -> Server:
        """Return the server to connect to now. Raises OSError."""
        if self._by_name or self._address not in self._living:
            return self._server
        return (await self._living.choose(self._address, await resolve(*self._server)))[0]

    def fell_silent(self) -> None:
        """Note that connecting to the server took too long."""
        self._living.fell_silent(self._address)

    def replaced(self, server: Server) -> bool:  # noqa: ARG002
        """Return False: what notices an address that moves asks over new connections (consumers/address_watch.py)."""
        return False

    async def is_settled(self, since_s: float) -> bool:  # noqa: ARG002
        """Return True: nobody promotes another server."""
        return True

    async def require(self, server: Server | None) -> None:
        """Accept any: nobody promotes another server."""


@contextmanager
def until_replaced(place: Place | None, target: Callable[[], Server | None], limit: asyncio.Timeout) -> Iterator[None]:
    """Let the limit of an exchange end once another server has taken the place of its target: a dead one never answers.

    `target`: the server that the exchange waits for now.
    """
    if place is None or not place.moves:
        yield
        return
    loop = asyncio.get_running_loop()
    watching: list[asyncio.Task[None]] = []
    later = loop.call_later(
        ASKED_EACH_S, lambda: watching.append(loop.create_task(_end_once_replaced(place, target, limit)))
    )
    try:
        yield
    finally:
        later.cancel()
        for task in watching:
            task.cancel()


async def _end_once_replaced(place: Place, target: Callable[[], Server | None], limit: asyncio.Timeout) -> None:
    while True:
        with suppress(RedisError, OSError):  # nobody says yet where the server lives
            await place.find()
        waited_for = target()
        if waited_for is not None and place.replaced(waited_for):
            limit.reschedule(0)
            return
        await asyncio.sleep(ASKED_EACH_S)
