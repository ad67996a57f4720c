"""A stream with a group, its entries and its pending list."""

from typing import Any

from redis.asyncio import Redis

from consumers.scripts import Scripts
from contract.keys import GROUP, Keys

QUARANTINE_AFTER = 3


class PendingList:
    """The entries of one stream, read by consumers and aged as a test needs them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def add(self, n: int) -> list[str]:
        added: list[Any] = [await self.redis.xadd(self.keys.events, {"n": str(i)}) for i in range(n)]
        return [entry_id.decode() for entry_id in added]

    async def read(self, consumer: str, n: int) -> list[str]:
        await self.redis.xreadgroup(GROUP, consumer, {self.keys.events: ">"}, count=n)
        return [entry_id for entry_id, (owner, _, _) in (await self.pending()).items() if owner == consumer]

    async def pending(self) -> dict[str, tuple[str, int, int]]:
        """Entry id → consumer, deliveries, idle ms."""
        rows: list[Any] = await self.redis.xpending_range(self.keys.events, GROUP, "-", "+", 10_000)
        return {
            r["message_id"].decode(): (r["consumer"].decode(), r["times_delivered"], r["time_since_delivered"])
            for r in rows
        }

    async def age(self, consumer: str, entry_id: str, *, idle_ms: int, deliveries: int = 1) -> None:
        await self.redis.xclaim(
            self.keys.events, GROUP, consumer, 0, [entry_id], idle=idle_ms, retrycount=deliveries, justid=True
        )

    async def begun(self, consumer: str, *entry_ids: str, attempt: int) -> None:
        """Record that the consumer had begun this attempt of each entry when it died."""
        await self.redis.hset(self.keys.begun, consumer, " ".join(f"{each}={attempt}" for each in entry_ids))

    async def names(self) -> list[str]:
        return sorted(c["name"].decode() for c in await self.redis.xinfo_consumers(self.keys.events, GROUP))


async def reclaim(
    scripts: Scripts, cursor: str = "-", count: int = 100, idle_ms_min: int = 1000, bytes_max: int = 1000
) -> Any:
    return await scripts.reclaim(
        "worker-9",
        idle_ms_min=idle_ms_min,
        cursor=cursor,
        count=count,
        quarantine_after=QUARANTINE_AFTER,
        bytes_max=bytes_max,
    )
