"""The console's first page: what waits for a person, and samples of what moved in the last hour."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from consumers.stream_stats import read_all_stats
from contract.keys import Keys
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

OVERVIEW = load("overview")
WAITING = load("waiting")

COUNTED_MAX = 10_000
"""Each kind of thing that waits is counted up to here."""

SAMPLE_EVERY = timedelta(seconds=15)

SAMPLES_MAX = 240
"""The samples that are kept: one hour."""

RATE_SAMPLES = 5
"""The rates of now are those between the latest sample and this one before it: of the last minute."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for a person, each up to COUNTED_MAX."""

    dead_letters: int
    conflicts: int
    unsigned: int
    """Facts on hold because no signature covers them."""
    by_conflict: int
    """Facts on hold because of a conflict of their payment."""
    other_mode: int
    """Events that moved no money, because they are of the other mode than their source."""
    restores: int
    """Restored servers that nobody has acknowledged."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """Since when each kind waits, None if nothing does; where a count stops at its limit, of those that are counted."""

    dead_letters: datetime | None
    conflicts: datetime | None
    unsigned: datetime | None
    other_mode: datetime | None
    restores: datetime | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters at one time. Those of a server that did not answer are None."""

    at: datetime
    added: int | None = None
    """Entries ever added to the stream."""
    acked: int | None = None
    """Entries that were added and are not in the stream any more."""
    dead_letters: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two samples, a second. None: it is not known, or the counters began anew."""

    at: datetime
    entered: float | None
    left: float | None
    backlog: int | None
    dead_letters: int | None


@dataclass(slots=True)
class LastHour:
    """The samples of the last hour, in memory."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))

    def rates(self) -> list[Rates]:
        """Return the rates between each two samples."""
        return [_rates(earlier, later) for earlier, later in pairwise(self.samples)]

    def now(self) -> Rates | None:
        """Return the rates of the last minute, or since there are samples; None before the second one."""
        recent = list(self.samples)[-RATE_SAMPLES:]
        return _rates(recent[0], recent[-1]) if len(recent) > 1 else None


async def count_waiting(connection: "Connection", keys: Keys) -> Waiting:
    """Count what waits for a person."""
    row = await connection.fetchrow(*WAITING.bind("count_waiting", limit=COUNTED_MAX, key_prefix=keys.prefix))
    return Waiting(**row)


async def read_oldest(connection: "Connection", keys: Keys) -> Oldest:
    """Return since when each kind waits."""
    row = await connection.fetchrow(*OVERVIEW.bind("read_oldest", limit=COUNTED_MAX, key_prefix=keys.prefix))
    return Oldest(**row)


async def count_dead_letters(connection: "Connection") -> int:
    """Count the open dead letters, up to COUNTED_MAX."""
    count: int = await connection.fetchval(*OVERVIEW.bind("count_dead_letters", limit=COUNTED_MAX))
    return count


async def read_counters(redis: Redis, keys: Keys) -> tuple[int, int]:
    """Return the entries that were ever added to the stream, and those of them that have left it."""
    stream = (await read_all_stats(redis, keys)).stream
    return (stream.entries_added, stream.entries_added - stream.length) if stream else (0, 0)


def largest(values: Sequence[float | None]) -> float:
    """Return the largest of the values that are known; 0 if not one is."""
    return max((value for value in values if value is not None), default=0.0)


def _rates(earlier: Sample, later: Sample) -> Rates:
    seconds = (later.at - earlier.at).total_seconds()
    backlog = None if later.added is None or later.acked is None else later.added - later.acked
    entered, left = (_rate(*pair, seconds) for pair in ((earlier.added, later.added), (earlier.acked, later.acked)))
    return Rates(later.at, entered, left, backlog, later.dead_letters)


def _rate(earlier: int | None, later: int | None, seconds: float) -> float | None:
    if earlier is None or later is None or later < earlier or seconds <= 0:
        return None
    return (later - earlier) / seconds
