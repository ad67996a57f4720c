"""The consumers of the group, and which of them are running workers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from consumers.stream_stats import StreamStats
from contract.keys import GROUP, Keys

_WORKER = re.compile(r"worker-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class GroupConsumer:
    """One name in the consumer group. `lives`: its slot is leased; None if the name is not a worker's."""

    name: str
    pending: int
    idle_ms: int
    lives: bool | None


async def list_consumers(redis: Redis, keys: Keys, stats: StreamStats) -> list[GroupConsumer]:
    """Return every consumer of the group, ordered by slot; an empty list before the group exists."""
    if stats.group is None:
        return []
    rows = await redis.xinfo_consumers(keys.events, GROUP)
    names = [cast("bytes", row["name"]).decode() for row in rows]
    lives = await read_slot_leases(redis, keys, names)
    consumers = [
        GroupConsumer(name, row["pending"], row["idle"], lives.get(name))
        for name, row in zip(names, rows, strict=True)
    ]  # fmt: skip
    return sorted(consumers, key=lambda consumer: (_slot(consumer.name) or 0, consumer.name))


async def read_slot_leases(redis: Redis, keys: Keys, names: Iterable[str]) -> dict[str, bool]:
    """Return worker name → whether its slot is leased. Names that are not a worker's are left out."""
    slots = {name: slot for name in set(names) if (slot := _slot(name))}
    if not slots:
        return {}
    leases = await redis.mget([keys.slot(slot) for slot in slots.values()])
    return {name: lease is not None for name, lease in zip(slots, leases, strict=True)}


def _slot(consumer: str) -> int | None:
    match = _WORKER.fullmatch(consumer)
    return int(match[1]) if match else None
