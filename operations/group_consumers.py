"""The consumers of the group, and which of them are running workers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from consumers.stream_stats import StreamStats
from contract.keys import GROUP, Keys

_WORKER = re.compile(r"(?:([1-9][0-9]*):)?worker-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class GroupConsumer:
    """One name in the consumer group, as `shown_name` has it. `lives`: its slot is leased; None if the name is not a
    worker's.
    """

    name: str
    pending: int
    idle_ms: int
    lives: bool | None


def shown_name(keys: Keys, consumer: str) -> str:
    """Return a consumer's name with its partition before it, `3:worker-1`; without it in the first one."""
    return f"{keys.partition}:{consumer}" if keys.partition else consumer


def real_name(keys: Keys, shown: str) -> str | None:
    """Return the name in this partition's group of a consumer that is shown so; None if it is in another partition."""
    partition, colon, name = shown.partition(":")
    if not keys.partition:
        return None if colon and partition.isdecimal() else shown
    return name if partition == str(keys.partition) else None


async def list_consumers(redis: Redis, keys: Keys, stats: StreamStats) -> list[GroupConsumer]:
    """Return every consumer of the group, ordered by slot; an empty list before the group exists.

    If the stats are of several partitions together, those of all of them.
    """
    if stats.parts:
        lists = [await list_consumers(redis, keys.of(number), part) for number, part in enumerate(stats.parts)]
        return [consumer for each in lists for consumer in each]
    if stats.group is None:
        return []
    rows = await redis.xinfo_consumers(keys.events, GROUP)
    names = [cast("bytes", row["name"]).decode() for row in rows]
    lives = await read_slot_leases(redis, keys, names)
    consumers = [
        GroupConsumer(shown_name(keys, name), row["pending"], row["idle"], lives.get(name))
        for name, row in zip(names, rows, strict=True)
    ]  # fmt: skip
    return sorted(consumers, key=lambda consumer: (slot_of(consumer.name) or 0, consumer.name))


async def count_workers(redis: Redis, keys: Keys, stats: StreamStats, consumers: Iterable[GroupConsumer]) -> int:
    """Return how many worker processes run. Of several partitions a process has a lease of each one of its share.

    The membership of one that was killed is there until another process looks; without any, no lease lives.
    """
    leases = sum(consumer.lives is True for consumer in consumers)
    return min(leases, await redis.hlen(keys.members)) if stats.parts else leases


async def read_slot_leases(redis: Redis, keys: Keys, names: Iterable[str]) -> dict[str, bool]:
    """Return worker name → whether its slot is leased. Names that are not a worker's are left out."""
    slots = {name: slot for name in set(names) if (slot := slot_of(name))}
    if not slots:
        return {}
    leases = await redis.mget([keys.slot(slot) for slot in slots.values()])
    return {name: lease is not None for name, lease in zip(slots, leases, strict=True)}


def slot_of(consumer: str) -> int | None:
    """Return the number of a worker's slot, None if the name is not a worker's."""
    match = _WORKER.fullmatch(consumer)
    return int(match[2]) if match else None
