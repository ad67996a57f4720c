"""States of the stream, built as the gateway and the workers leave them."""

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import asyncpg
from redis.asyncio import Redis
from rich.console import Console

from consumers import store
from consumers.entry import Entry, Unreadable, read_entry
from consumers.settings import Settings
from contract.event import Event, to_entry
from contract.keys import GROUP, Keys
from operations.cli import main as cli

SEEN_TTL_S = 3600


@dataclass
class Stream:
    """The stream of one test."""

    redis: Redis
    keys: Keys
    ids: list[str] = field(default_factory=list)

    async def publish(self, event: Event) -> str:
        """Add an entry as the gateway does: with its marker, and the epoch with the first one."""
        entry_id = await self.publish_fields(to_entry(event))
        await self.redis.set(self.keys.seen(event.namespace, event.event_id), entry_id, ex=SEEN_TTL_S)
        return entry_id

    async def publish_fields(self, flat: list[str | bytes]) -> str:
        is_first = await self.redis.exists(self.keys.events, self.keys.epoch) < 2
        reply = await self.redis.xadd(self.keys.events, cast("Any", dict(zip(flat[::2], flat[1::2], strict=True))))
        entry_id = cast("bytes", reply).decode()
        if is_first:
            await self.redis.set(self.keys.epoch, entry_id)
        self.ids.append(entry_id)
        return entry_id

    async def read(self, consumer: str, count: int = 10) -> list[Entry | Unreadable]:
        """Read new entries as a worker does, and make the group where it is missing."""
        if not await self.redis.xinfo_groups(self.keys.events):
            await self.redis.xgroup_create(self.keys.events, GROUP, "0")
        reply = await self.redis.xreadgroup(GROUP, consumer, {self.keys.events: ">"}, count=count)
        pages = reply.values() if isinstance(reply, dict) else [entries for _, entries in reply]
        found = [entry for page in pages for entry in _flat(page)]
        return [read_entry(entry_id, 1, fields) for entry_id, fields in found]

    async def entries(self) -> dict[str, dict[bytes, bytes]]:
        """Return the stream's entries: id → fields."""
        rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", await self.redis.xrange(self.keys.events))
        return {entry_id.decode(): fields for entry_id, fields in rows}

    async def lease(self, slot: int) -> None:
        await self.redis.set(self.keys.slot(slot), f"worker-{slot}:abc", px=60_000)

    async def lock(self, event: Event, consumer: str) -> None:
        await self.redis.set(self.keys.lock(event.namespace, event.resource), f"{consumer}:abc", px=60_000)

    async def record_failure(self, entry_id: str, kind: str, reason: str, attempt: int, retry_in_s: float) -> None:
        now = datetime.now(UTC)
        failure = {"kind": kind, "reason": reason, "attempt": attempt, "at": now.isoformat(),
                "retry_at": (now + timedelta(seconds=retry_in_s)).isoformat()}  # fmt: skip
        await self.redis.hset(self.keys.failures, entry_id, json.dumps(failure))

    async def drop(self, entry_id: str) -> None:
        """Acknowledge and delete an entry, but leave its marker."""
        await self.redis.xack(self.keys.events, GROUP, entry_id)
        await self.redis.xdel(self.keys.events, entry_id)

    async def dead_letter(
        self, connection: asyncpg.Connection, entry: Entry | Unreadable, reason: str = "Reject: no"
    ) -> int:
        """Dead-letter an entry as a worker does. Returns the dead letter's number."""
        await store.dead_letter(connection, entry, reason, f"Traceback of {reason}")
        await self.drop(entry.entry_id)
        if isinstance(entry, Entry):
            await self.redis.delete(self.keys.seen(entry.event.namespace, entry.event.event_id))
        query = "SELECT id FROM dead_letters WHERE entry_id = $1"
        return cast("int", await connection.fetchval(query, entry.entry_id))


def settings_for(redis_url: str, database_url: str, key_prefix: str, **changes: Any) -> Settings:
    """Return a worker's settings, with no metrics port unless asked for."""
    values = {"redis_url": redis_url, "database_url": database_url, "key_prefix": key_prefix}
    return Settings.model_validate(values | {"CONSUMERS_METRICS_PORT": 0} | changes)


def _flat(page: list[Any]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [entry for part in page for entry in (part if isinstance(part, list) else [part])]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


async def say(settings: Settings, *argv: str) -> Said:
    """Runs `python -m consumers …` within this process."""
    console = Console(file=io.StringIO(), width=160, markup=False, highlight=False, emoji=False)
    code = await cli.run(cli.parse(list(argv)), settings, console)
    return Said(code, cast("io.StringIO", console.file).getvalue())
