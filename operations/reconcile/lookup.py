"""What is known here of listed events: applied, waiting in the stream, dead-lettered, or nothing at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from contract.event import Event, Mode, Origin, Signed
from contract.keys import Keys, committed_marker, is_committed
from providers.api import Listed
from sql import load

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from sql.connect import Connection

RECONCILE = load("reconcile")


class State(StrEnum):
    """What became of a listed event. `DEAD`: it waits for a person, or one has discarded it, or accepted its loss."""

    APPLIED = "applied"
    WAITING = "waiting"
    DEAD = "dead"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Recorded:
    """An applied event. `body` is None where its payload is not kept, or was not asked for."""

    namespace: str
    event_id: str
    source: str
    provider: str
    type: str
    resource: str
    occurred_at: datetime | None
    received_at: datetime
    signed: Signed
    mode: Mode | None
    account: str
    origin: Origin
    body: bytes | None = field(repr=False, default=None)
    headers: str | None = field(repr=False, default=None)

    def to_event(self) -> Event | None:
        """Return the event as it was delivered; None without its body."""
        if self.body is None:
            return None
        return Event(
            source=self.source, namespace=self.namespace, provider=self.provider, event_id=self.event_id,
            type=self.type, resource=self.resource, occurred_at=self.occurred_at, received_at=self.received_at,
            signed=self.signed, body=self.body, headers=json.loads(self.headers or "{}"), mode=self.mode,
            account=self.account, origin=self.origin,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one listed event. `recorded`: the applied event.

    `added_as`: the entry that waits, where a run like this one has added it.
    `is_accepted`: it is dead only because a person has accepted that it is missing.
    `is_lost`: it is missing although Redis says that it is committed. Postgres was restored, and no worker has noticed
    that yet.
    """

    listed: Listed
    state: State
    recorded: Recorded | None = None
    added_as: str | None = None
    is_accepted: bool = False
    is_lost: bool = False

    @property
    def arrived(self) -> bool:
        """Whether the event, or what Redis remembers of it, has ever been here."""
        return self.is_lost or not (self.state is State.MISSING or self.is_accepted)


class _Marked(NamedTuple):
    """What a marker says."""

    state: State
    added_as: str | None = None


_NOTHING = _Marked(State.MISSING)


class Lookup:
    """Looks up the events of one namespace, a page at a time."""

    def __init__(
        self, connection: "Connection", redis: "Redis", partitions: Sequence[Keys], namespace: str, *,
        ids_differ: bool, with_bodies: bool,
    ) -> None:  # fmt: skip
        """`ids_differ`: deliveries have other ids than the list. `with_bodies`: kept payloads are read too."""
        self._connection = connection
        self._redis = redis
        self._partitions = partitions
        self._namespace = namespace
        self._ids_differ = ids_differ
        self._with_bodies = with_bodies

    async def find(self, page: Sequence[Listed]) -> list[Known]:
        """Return what is known of each event.

        Rows are read before Redis, and dead letters after it: an event that is committed meanwhile has a marker that
        says so, and the rows are read once more; one that is dead-lettered meanwhile was recorded as such before its
        entry went.
        """
        applied = await self._find_applied(page)
        rest = [listed for listed in page if listed.parsed.event_id not in applied]
        in_redis = await self._find_in_redis(rest)
        committed = [each for each in rest if in_redis.get(each.parsed.event_id, _NOTHING).state is State.APPLIED]
        if committed:
            applied |= await self._find_applied(committed)
        gone = [each for each in rest if in_redis.get(each.parsed.event_id, _NOTHING).state is not State.WAITING]
        dead = await self._find_dead(gone) if gone else {}
        return [self._known(listed, applied, dead, in_redis) for listed in page]

    def _known(
        self, listed: Listed, applied: Mapping[str, Recorded], dead: Mapping[str, bool], in_redis: Mapping[str, _Marked]
    ) -> Known:  # fmt: skip
        event_id = listed.parsed.event_id
        if recorded := applied.get(event_id):
            return Known(listed, State.APPLIED, recorded)
        if event_id in dead:
            return Known(listed, State.DEAD, is_accepted=dead[event_id])
        marked = in_redis.get(event_id)
        if marked is None:
            return Known(listed, State.MISSING)
        if marked.state is State.WAITING:
            return Known(listed, State.WAITING, added_as=marked.added_as)
        return Known(listed, State.MISSING, is_lost=True)

    async def _find_applied(self, page: Sequence[Listed]) -> dict[str, Recorded]:
        """Return the applied events by the ids of the list."""
        by_name = {name: listed.parsed.event_id for listed in page for name in _names(listed)}
        query = RECONCILE.bind(
            "find_applied", namespace=self._namespace, event_ids=list(by_name), with_bodies=self._with_bodies
        )
        found = {by_name[row["event_id"]]: self._recorded(row) for row in await self._connection.fetch(*query)}
        if self._ids_differ:
            found |= await self._find_by_content([each for each in page if each.parsed.event_id not in found])
        return found

    async def _find_by_content(self, page: Sequence[Listed]) -> dict[str, Recorded]:
        sought = [listed for listed in page if listed.parsed.occurred_at is not None]
        if not sought:
            return {}
        query = RECONCILE.bind(
            "find_applied_by_content", namespace=self._namespace, place=list(range(len(sought))),
            type=[listed.parsed.type for listed in sought], resource=[listed.parsed.resource for listed in sought],
            occurred_at=[listed.parsed.occurred_at for listed in sought],
        )  # fmt: skip
        return {
            sought[row["place"]].parsed.event_id: self._recorded(row) for row in await self._connection.fetch(*query)
        }

    async def _find_dead(self, page: Sequence[Listed]) -> dict[str, bool]:
        """Return the dead events by the ids of the list, and of each whether a person has only accepted its loss."""
        by_name = {name: listed.parsed.event_id for listed in page for name in _names(listed)}
        query = RECONCILE.bind("find_dead", namespace=self._namespace, event_ids=list(by_name))
        rows = await self._connection.fetch(*query)
        return {by_name[row["event_id"]]: row["is_accepted"] for row in rows}

    async def _find_in_redis(self, page: Sequence[Listed]) -> dict[str, _Marked]:
        """Return the events whose marker says that they wait, or were committed a moment ago."""
        found: dict[str, _Marked] = {}
        if not page:
            return found
        names = [(name, listed.parsed.event_id) for listed in page for name in _names(listed)]
        for keys in self._partitions:
            markers = await self._redis.mget([keys.seen(self._namespace, name) for name, _ in names])
            marked = {
                event_id: marker
                for (_, event_id), marker in zip(names, cast("list[bytes | None]", markers), strict=True) if marker
            }  # fmt: skip
            found |= await self._believed(keys, marked)
        return found

    async def _believed(self, keys: Keys, marked: Mapping[str, bytes]) -> dict[str, _Marked]:
        """Return what the markers of one partition say, as far as they are believed (docs/decisions/0018)."""
        if not marked:
            return {}
        committed = committed_marker(int(await self._redis.hget(keys.account, "restores") or 0))
        found = {event_id: _Marked(State.APPLIED) for event_id, marker in marked.items() if marker == committed}
        entries = {event_id: marker.decode() for event_id, marker in marked.items() if not is_committed(marker)}
        async with self._redis.pipeline(transaction=False) as pipeline:
            for entry_id in entries.values():
                pipeline.xrange(keys.events, entry_id, entry_id)
            answers = await pipeline.execute(raise_on_error=False) if entries else []
        for event_id, answer in zip(entries, answers, strict=True):
            if isinstance(answer, list) and answer:
                fields = answer[0][1] or {}
                is_ours = fields.get(b"origin") == b"reconcile"
                found[event_id] = _Marked(State.WAITING, entries[event_id] if is_ours else None)
        return found

    def _recorded(self, row: Any) -> Recorded:  # noqa: ANN401 - asyncpg's row
        values = dict(row)
        values.pop("place", None)
        return Recorded(namespace=self._namespace, **values)


def _names(listed: Listed) -> tuple[str, ...]:
    return listed.parsed.event_id, *listed.aliases
