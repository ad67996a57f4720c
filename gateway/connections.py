"""All open connections of a process: what each waits for, how long it may, and what all of them may keep in memory."""

import asyncio
import heapq
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.connection import Connection

SWEEPS_PER_TIMEOUT = 4
"""How often waiting connections are looked at within the shortest of their timeouts."""

SWEEP_S_MAX = 1.0

YOUNG_S = 2.0
"""How long a connection does not give way where an older one does: a genuine client needs some round trips until its
request is there, while those that strangers hold are older."""

DRAIN_GRACE_S = 0.5
"""How long open connections may still bring a request while the gateway is being stopped. Its answer is their last."""

ACCEPT_TURNS = 3
"""Turns of the event loop after which every connection that was accepted before is known here."""

ROOM = 8
"""Where the bytes kept for clients reach their limit, one in 8 is freed at once: making room reads all connections, and
must not happen for each segment that a stranger sends."""

FAIR_AGE_S = 0.1
"""The age that a request has at least, when the one that keeps most bytes for longest is sought."""

OnRefused = Callable[[int, str, str | None], None]
"""Called with the status, the reason for the metric, and the client's address."""


class Queue(OrderedDict["Connection", float]):
    """Connections that wait for the same thing, the longest first, each with the time since when."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self.timeout_s = timeout_s
        self._now_s = asyncio.get_running_loop().time

    def add(self, connection: "Connection") -> None:
        """Let a connection wait here from now on."""
        self[connection] = self._now_s()

    def since_s(self) -> float:
        """Return since when the first waits; infinity where none does."""
        return next(iter(self.values()), float("inf"))

    def expired(self) -> Iterator["Connection"]:
        """Remove and yield those that have waited too long."""
        limit_s = self._now_s() - self.timeout_s
        while self.since_s() <= limit_s:
            yield self.popitem(last=False)[0]


class Connections:
    """The open connections of one listening socket. Where one of their limits is reached, strangers give way first.

    * CONNECTIONS_MAX: the connection that has waited longest makes place: first without a request, last a young one.
    * UNVERIFIED_BYTES_MAX: of the client that keeps most, the unfinished request that has kept most for longest.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        settings: Settings,
        on_refused: OnRefused,
        on_count: Callable[[int, int], None],
        *,
        body_bytes_max: int,
        connections_max: int,
    ) -> None:
        self.make_protocol = make_protocol
        self.settings = settings
        self.body_bytes_max = body_bytes_max
        quick_bytes_max = min(settings.header_line_bytes_max, settings.headers_bytes_max)
        self.quick_limits = (quick_bytes_max, settings.headers_max, body_bytes_max)
        """Headers up to this length and this many, and a body up to this size, are within every limit."""
        self.on_refused = on_refused
        self.is_draining = False
        self._connections_max = connections_max
        self._bytes_max = max(settings.unverified_bytes_max, body_bytes_max + settings.headers_bytes_max)
        self._on_count = on_count
        """Called with the number of connections, and the bytes kept for them."""
        self._open: set[Connection] = set()
        self._all_closed = asyncio.Event()
        self._held_bytes = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self.handshakes = Queue(settings.headers_timeout_s)
        self.new = Queue(settings.first_request_timeout_s)
        self.idle = Queue(settings.keepalive_s)
        self.heads = Queue(settings.headers_timeout_s)
        self.bodies = Queue(settings.body_timeout_s)
        self.unread = Queue(settings.unread_timeout_s)
        self.ending = Queue(settings.linger_s)
        timeouts_s = [each.timeout_s for each in (self.new, self.idle, self.heads, self.bodies, self.unread)]
        self._sweep_s = min(SWEEP_S_MAX, min(timeouts_s) / SWEEPS_PER_TIMEOUT)

    # --- how many, and for how long

    def opened(self, connection: "Connection") -> bool:
        """Count one more connection, in place of one that waits where there are too many; False where none waits."""
        if self._sweeping is None:
            self._sweep()
        if len(self._open) >= self._connections_max and not self._one_gives_way():
            return False
        self._open.add(connection)
        self._on_count(len(self._open), self._held_bytes)
        return True

    def closed(self, connection: "Connection") -> None:
        """Count one connection less."""
        self._open.discard(connection)
        self._on_count(len(self._open), self._held_bytes)
        if not self._open:
            self._all_closed.set()

    def _one_gives_way(self) -> bool:
        old_s = asyncio.get_running_loop().time() - YOUNG_S
        silent = (self.handshakes, self.new, self.idle)
        unfinished = (self.heads, self.bodies)
        for queues, limit_s in (
            (silent, old_s),
            ((self.ending,), math.inf),
            (unfinished, old_s),
            ((self.unread,), old_s),
            ((*silent, *unfinished, self.unread), math.inf),
        ):
            queue = min(queues, key=Queue.since_s)
            if queue and queue.since_s() <= limit_s:
                connection = next(iter(queue))
                if queue is self.heads or queue is self.bodies:
                    connection.refuse(503, "connections_max", "Too many connections are open.", lingers=False)
                else:
                    connection.abort()
                self.closed(connection)
                return True
        return False

    def _sweep(self) -> None:
        """End every connection that has waited too long, again and again."""
        for connection in self.bodies.expired():
            detail = f"The body did not arrive within {self.bodies.timeout_s:g} s."
            connection.refuse(408, "slow_body", detail)
        for queue in (self.handshakes, self.new, self.idle, self.heads, self.unread, self.ending):
            for connection in queue.expired():
                connection.abort()
        self._on_count(len(self._open), self._held_bytes)
        self._sweeping = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    # --- how many bytes

    def hold(self, connection: "Connection", held_bytes: int) -> bool:
        """Count what is kept for a connection; return False where it is too much even after others gave way."""
        growth_bytes = held_bytes - connection.held_bytes
        self._held_bytes += growth_bytes
        connection.held_bytes = held_bytes
        return growth_bytes <= 0 or self._held_bytes <= self._bytes_max or self._make_room()

    def _make_room(self) -> bool:
        """Let unfinished requests give way until there is room again; return whether there is."""
        now_s = asyncio.get_running_loop().time()
        clients: defaultdict[str | None, list[tuple[float, int, int, Connection]]] = defaultdict(list)
        for connection in self._open:
            droppable_bytes = connection.droppable_bytes
            if droppable_bytes:
                cost = droppable_bytes * (now_s - connection.waits_since_s(now_s) + FAIR_AGE_S)
                clients[connection.client].append((cost, droppable_bytes, id(connection), connection))
        most = [(-sum(each[1] for each in waiting), number) for number, waiting in enumerate(clients.values())]
        heapq.heapify(most)
        waiting = [sorted(each) for each in clients.values()]
        while most and self._held_bytes > self._bytes_max - self._bytes_max // ROOM:
            total_bytes, number = heapq.heappop(most)
            _, droppable_bytes, _, connection = waiting[number].pop()
            connection.give_way()
            if waiting[number]:
                heapq.heappush(most, (total_bytes + droppable_bytes, number))
        return self._held_bytes <= self._bytes_max

    # --- the end

    async def drain(self, timeout_s: float) -> bool:
        """End each connection with its next answer; return whether all have ended in time.

        aiohttp's own shutdown drops a request that is still arriving. So does ending a connection whose client has
        just connected, or sends its next request at this moment: those without one have DRAIN_GRACE_S to bring it.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        if await self._have_closed(min(DRAIN_GRACE_S, timeout_s / 2)):
            return True
        self.is_draining = True
        for queue in (self.handshakes, self.new, self.idle, self.heads):
            for connection in list(queue):
                connection.abort()
        return await self._have_closed(end_s - loop.time())

    async def _have_closed(self, timeout_s: float) -> bool:
        """Wait until no connection is open; return False where one still is."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """Cut off what is still open."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._open):
            connection.abort()
