"""Adding missing events to the stream, as if they had been delivered now: each once, and proven to be on disk."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contract.event import Event, to_entry
from contract.keys import Keys, Partitions
from operations.log import Act, record, require_log
from operations.reconcile.errors import NoRoomError
from operations.reconcile.store import Claim
from operations.stream_entries import adding

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from sql.connect import Connection

EVENTS_AT_ONCE = 500
"""Events of one transaction, and of one wait for the disk."""

BYTES_AT_ONCE = 8 * 1024 * 1024

ROOM_WAIT_S = 60.0
"""How long a repair waits for workers to make room below BACKLOG_LIMIT."""

ROOM_LOOK_S = 0.5


@dataclass(slots=True)
class Repaired:
    """What became of some missing events: their ids. `entry_ids` has the entries that were added and are on disk."""

    entry_ids: dict[str, str] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    applied: set[str] = field(default_factory=set)
    unproven: set[str] = field(default_factory=set)


class Repair:
    """Adds events of one source. `partitions` are those among which events are routed now."""

    def __init__(
        self, connection: "Connection", redis: "Redis", partitions: Partitions, claim: Claim, act: Act, *,
        seen_ttl_s: int, backlog_limit: int, from_nothing: bool = False,
    ) -> None:  # fmt: skip
        """`from_nothing`: a person has decided to add what is missing although nothing that is listed is known here."""
        self._connection = connection
        self._redis = redis
        self._partitions = partitions
        self._claim = claim
        self._act = act
        self._seen_ttl_s = seen_ttl_s
        self._backlog_limit = backlog_limit
        self.from_nothing = from_nothing

    async def add(self, events: Sequence[Event], lost: AbstractSet[str]) -> Repaired:
        """Add events that are missing, of which a finding is recorded, and record the act. `lost` are the ids of those
        that Redis takes for committed, and Postgres has lost.

        A crash at any point repeats nothing: an event that was added has its marker, and is not missing any more. The
        record of the act is then left out; the finding is closed by the next run, as repaired. Raise NoRoomError.
        """
        await self._wait_for_room(len(events))
        done = Repaired()
        async with self._connection.transaction(isolation="read_committed"):
            await require_log(self._connection)
            for keys, part in self._by_partition(events).items():
                await self._add_part(keys, part, lost, done)
            await self._claim.record_repairs(done.entry_ids)
            await self._claim.resolve("missing", [*done.waiting, *done.applied])
            if done.entry_ids:
                await self._record(done.entry_ids)
        return done

    async def _add_part(self, keys: Keys, events: Sequence[Event], lost: AbstractSet[str], done: Repaired) -> None:
        """Add the events of one partition over one connection, so that waiting for its disk covers them all."""
        added: dict[str, str] = {}
        async with adding(self._redis, keys) as stream:
            for event in events:
                outcome, entry_id = await stream.add(
                    (event.namespace, event.event_id), to_entry(event),
                    seen_ttl_s=self._seen_ttl_s, is_lost=event.event_id in lost,
                )  # fmt: skip
                if outcome == "added" and entry_id:
                    added[event.event_id] = entry_id
                else:
                    (done.applied if outcome == "committed" else done.waiting).add(event.event_id)
            if added and await stream.is_kept():
                done.entry_ids |= added
            else:
                done.unproven |= added.keys()

    def _by_partition(self, events: Sequence[Event]) -> dict[Keys, list[Event]]:
        parts: dict[Keys, list[Event]] = {}
        for event in events:
            parts.setdefault(self._partitions.keys_of(event.namespace, event.resource), []).append(event)
        return parts

    async def _wait_for_room(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + ROOM_WAIT_S
        while await self._backlog() + number > self._backlog_limit:
            if loop.time() > deadline_s:
                raise NoRoomError(
                    f"the stream is as long as BACKLOG_LIMIT ({self._backlog_limit}) allows, and workers make no room"
                )
            await asyncio.sleep(ROOM_LOOK_S)

    async def _backlog(self) -> int:
        return sum([await self._redis.xlen(keys.events) for keys in self._partitions.all])

    async def _record(self, entry_ids: Mapping[str, str]) -> None:
        events = [f"{self._claim.namespace}/{event_id}" for event_id in entry_ids]
        await record(
            self._connection, self._act, action="reconcile", subject=f"source:{self._claim.source}",
            touched=len(events), details={"events": events},
        )  # fmt: skip
