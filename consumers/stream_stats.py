"""The length and age of the backlog, read in one cheap call, for the gauges and for `make status`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.keys import GROUP, Keys, entry_number

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
    """The state at `now_ms` of the server's clock. `stream` is None where nothing was ever published."""

    now_ms: int
    stream: StreamState | None

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


async def poll_stream_stats(redis: Redis, keys: Keys, report: Callable[[StreamStats | None], None]) -> None:
    """Report the state periodically until cancelled; None while Redis does not answer."""
    while True:
        try:
            report(await read_stream_stats(redis, keys))
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
