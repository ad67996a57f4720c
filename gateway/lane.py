"""The connections to the server of some partitions, and the deliveries that wait for it.

One server has all partitions. In a cluster each partition has a lane of its own: its node may change at any time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from contract.keys import Keys, Partitions
from gateway.redis_writer import RedisWriter
from gateway.server_check import ServerCheck
from gateway.settings import Settings
from runtime.durability import Durability, Guarantee
from runtime.redis_address import read_address

OnChange = Callable[["Lane", Guarantee | None, str], None]


class Receipt(NamedTuple):
    """The durable result of one delivery. `entry_id` is empty where the event is committed already."""

    new: bool
    entry_id: str
    committed: bool
    durability: Durability


class Queued(NamedTuple):
    """A delivery waiting for an exchange, and the future its sender awaits."""

    keys: Keys
    marker: str
    values: tuple[str | bytes, ...]
    bytes: int
    receipt: asyncio.Future[Receipt]


class Lane:
    """`on_change` is called with every change of what the server guarantees, or with the reason why it does not."""

    def __init__(self, settings: Settings, partitions: Sequence[Keys], on_change: OnChange) -> None:
        self.partitions = partitions
        self._on_change = on_change
        server = ServerCheck(settings, partitions)
        self.head = RedisWriter(settings, server, self._changed)
        """The one that is checked regularly."""
        self.reader = RedisWriter(settings, server)
        """Of commits that senders wait for."""
        others = [RedisWriter(settings, server) for _ in range(settings.publish_exchanges_max - 1)]
        self._writers = [self.head, *others]
        self.idle = list(reversed(self._writers))
        self.queue: deque[Queued] = deque()

    def refused(self, reason: str) -> None:
        """Let readiness follow what publishing meets, on whichever connection."""
        if self.head.guarantee is not None:
            self.head.doubt(reason)
            self._changed(None, reason)

    async def close(self) -> None:
        """End the connections."""
        for redis in (*self._writers, self.reader):
            await redis.close()

    def _changed(self, guarantee: Guarantee | None, reason: str) -> None:
        for other in (*self._writers[1:], self.reader):
            if other.guarantee != guarantee:
                other.doubt("the server that Redis' address leads to is another one, or none")
        self._on_change(self, guarantee, reason)


def make_lanes(settings: Settings, partitions: Partitions, on_change: OnChange) -> list[Lane]:
    """Return one lane for all partitions, or one for each in a cluster."""
    is_cluster = read_address(settings.redis_url).kind == "cluster"
    groups = [[keys] for keys in partitions.all] if is_cluster else [list(partitions.all)]
    return [Lane(settings, group, on_change) for group in groups]
