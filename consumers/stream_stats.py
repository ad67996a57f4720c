"""The length and age of the backlog, read in one cheap call, for the gauges and for `make status`."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.keys import GROUP, Keys, entry_number, read_partitions

log = structlog.get_logger()

EVERY_S = 5.0
"""How often each worker updates its gauges."""

_SCRIPT = Path(__file__).with_suffix(".lua").read_text()
_LAG_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class GroupState:
    """The consumer group: its lag, and its entries that were read but not acknowledged."""

    last_delivered_id: str
    lag: int
    lag_is_estimated: bool
    pending: int
    oldest_pending_id: str | None
    oldest_pending_idle_ms: int


@dataclass(frozen=True, slots=True)
class StreamState:
    """The stream. Its length is the backlog, because entries are deleted once committed."""

    length: int
    entries_added: int
    last_id: str
    oldest_id: str | None
    group: GroupState | None


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The state at `now_ms` of the server's clock. `stream` is None where nothing was ever published.

    `parts`: where it is of several partitions together, each of them.
    """

    now_ms: int
    stream: StreamState | None
    parts: tuple["StreamStats", ...] = ()

    @property
    def group(self) -> GroupState | None:
        """The group, or None where no worker has ever started or the group was lost with the data."""
        return self.stream.group if self.stream else None

    def age_ms(self, entry_id: str) -> int:
        """Return how long ago the entry was added, by the server's clock."""
        return max(0, self.now_ms - int(entry_id.partition("-")[0]))

    @property
    def stranded(self) -> int:
        """Entries that were read and that nobody has, as far as the numbers show them; 1 may stand for more."""
        if self.parts:
            return sum(part.stranded for part in self.parts)
        stream, group = self.stream, self.group
        if not stream or not group or not stream.oldest_id:
            return 0
        delivered = entry_number(group.last_delivered_id)
        if stream.last_id == group.last_delivered_id or not group.lag_is_estimated:
            unread = 0 if stream.last_id == group.last_delivered_id else group.lag
            return max(0, stream.length - unread - group.pending)
        oldest = entry_number(stream.oldest_id)
        is_pending = group.oldest_pending_id and entry_number(group.oldest_pending_id) <= oldest
        return int(oldest <= delivered and not is_pending)

    @property
    def oldest_age_ms(self) -> int:
        """How long the oldest entry has waited; 0 for an empty stream."""
        return self.age_ms(self.stream.oldest_id) if self.stream and self.stream.oldest_id else 0


async def read_stream_stats(redis: Redis, keys: Keys) -> StreamStats:
    """Read the state now."""
    reply = cast("list[Any]", await redis.register_script(_SCRIPT)(keys=[keys.events], args=[GROUP]))
    if len(reply) == 1:
        return StreamStats(reply[0], None)
    length, entries_added, last_id, oldest_id = reply[1]
    group = _group(reply[2], length) if len(reply) == 3 else None
    return StreamStats(
        reply[0], StreamState(length, entries_added, last_id.decode(), oldest_id.decode() or None, group)
    )


async def every_partition(redis: Redis, keys: Keys) -> list[Keys]:
    """Return the keys of each partition that workers read, in the installation of these keys."""
    stored = cast("bytes | None", await redis.hget(keys.partitions, "read"))
    return [keys.of(number) for number in range(read_partitions(stored))]


async def read_all_stats(redis: Redis, keys: Keys) -> StreamStats:
    """Read the state of all partitions together."""
    return add_up([await read_stream_stats(redis, each) for each in await every_partition(redis, keys)])


def add_up(parts: Sequence[StreamStats]) -> StreamStats:
    """Return the state of several partitions together: sums, and the oldest of what waits."""
    streams = [part.stream for part in parts if part.stream]
    if len(parts) == 1 or not streams:
        return parts[0]
    groups = [stream.group for stream in streams if stream.group]
    group = GroupState(
        last_delivered_id=max((group.last_delivered_id for group in groups), key=entry_number),
        lag=sum(stream.group.lag if stream.group else stream.length for stream in streams),
        lag_is_estimated=any(group.lag_is_estimated for group in groups),
        pending=sum(group.pending for group in groups),
        oldest_pending_id=_lowest(group.oldest_pending_id for group in groups),
        oldest_pending_idle_ms=max(group.oldest_pending_idle_ms for group in groups),
    ) if groups else None  # fmt: skip
    stream = StreamState(
        length=sum(stream.length for stream in streams),
        entries_added=sum(stream.entries_added for stream in streams),
        last_id=max((stream.last_id for stream in streams), key=entry_number),
        oldest_id=_lowest(stream.oldest_id for stream in streams),
        group=group,
    )
    return StreamStats(parts[0].now_ms, stream, tuple(parts))


def _lowest(entry_ids: Iterable[str | None]) -> str | None:
    return min((entry_id for entry_id in entry_ids if entry_id), key=entry_number, default=None)


async def poll_stream_stats(redis: Redis, keys: Keys, report: Callable[[StreamStats | None], None]) -> None:
    """Report the state periodically until cancelled; None while Redis does not answer."""
    while True:
        try:
            report(await read_all_stats(redis, keys))
        except RedisError as error:
            report(None)
            log.warning("the backlog could not be measured; it is tried again", error=str(error), again_s=EVERY_S)
        await asyncio.sleep(EVERY_S)


def _group(reply: list[Any], length: int) -> GroupState:
    last_delivered_id, lag, pending, oldest_pending_id, idle_ms = reply
    unknown = lag == _LAG_UNKNOWN
    return GroupState(
        last_delivered_id=last_delivered_id.decode(),
        # Entries are acknowledged and deleted in one step, so those that are not pending were not read yet.
        lag=max(0, length - pending) if unknown else lag,
        lag_is_estimated=unknown,
        pending=pending,
        oldest_pending_id=oldest_pending_id.decode() or None,
        oldest_pending_idle_ms=idle_ms,
    )
