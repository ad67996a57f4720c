"""Reads a worker's entries: first those of dead workers, then those due again, then new ones."""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.batch_size import BatchSize
from consumers.entry import Entry, Unreadable
from consumers.in_flight import InFlight, without
from consumers.lease import Lease
from consumers.metrics import Metrics
from consumers.retry import quarantine_after
from consumers.settings import Settings
from consumers.shared import Shared
from consumers.stream import Reclaimed, Stream

STRANDED = (
    "entries had been read, and no worker had them: somebody ran XGROUP DELCONSUMER, SETID, DESTROY or XACK; they are "
    "applied now"
)

log = structlog.get_logger()

DIED = "{} died or was stopped while it worked on this event"
"""Why an attempt failed whose worker left it without an outcome."""


class Fetcher:
    """Reads batches for one worker, and adds each to its entries in flight, within the limits for those."""

    def __init__(
        self, stream: Stream, lease: Lease, in_flight: InFlight, settings: Settings, metrics: Metrics, shared: Shared
    ) -> None:  # fmt: skip
        self._stream = stream
        self._lease = lease
        self._in_flight = in_flight
        self._settings = settings
        self._metrics = metrics
        self._shared = shared
        self._reclaim_at_s = 0.0
        self._reply_size = BatchSize(settings.batch_size)
        self._reply_lost = False

    @property
    def is_reclaim_due(self) -> bool:
        """Whether it is time to look for entries of dead workers."""
        return time.monotonic() >= self._reclaim_at_s

    async def next_batch(self, *, read_new: bool) -> list[Entry | Unreadable] | None:
        """Return entries of dead workers if there are any, else entries that are due again and, if wanted, new ones.

        Waits for new entries until a delayed one is due, or BLOCK_MS. None where too many entries are delayed already.
        """
        await self._judge_lost_reply()
        if reclaimed := await self._reclaim():
            return reclaimed
        due = await self._take_due()
        bytes_left = self._settings.batch_bytes_max - _bytes_of(due)
        room = self._room(len(due)) if bytes_left > 0 else 0
        if due and (room <= 0 or not read_new):
            return [*due]
        if room <= 0:
            return None
        block_ms = None if due else max(1, int(self.until_due_s() * 1000))
        return [*due, *await self._read_new(room, bytes_left, block_ms)]

    async def prefetch(self) -> list[Entry | Unreadable]:
        """Return new entries without waiting for any, while the present batch is being committed.

        Returns none where other entries go first, so that neither retries nor dead workers' entries starve.
        """
        if self.is_reclaim_due or self.until_due_s() == 0 or self._reply_lost:
            return []
        room = self._room(0)
        if room <= 0:
            return []
        return await self._read_new(room, self._settings.batch_bytes_max, None)

    async def top_up(self) -> list[Entry | Unreadable]:
        """Return new entries that came while the batch waited for its turn, without waiting for any."""
        batch = self._in_flight.batch
        room, bytes_left = self._room(len(batch)), self._settings.batch_bytes_max - _bytes_of(batch)
        if room <= 0 or bytes_left <= 0 or self._reply_lost:
            return []
        return await self._read_new(room, bytes_left, None)

    def until_due_s(self) -> float:
        """Return the time until the first delayed entry is due, at most as long as a read may block."""
        longest_s = self._settings.block_ms / 1000
        due_s = self._in_flight.delayed.next_due_s
        return longest_s if due_s is None else min(longest_s, max(0.0, due_s - time.monotonic()))

    def _room(self, taken: int) -> int:
        """Return how many entries may be added to a batch of `taken`. Each partition has its part of the limits."""
        partitions = self._shared.partitions
        if self._in_flight.waiting_bytes >= max(1, self._settings.parked_bytes_max // partitions):
            return 0
        parked_max = max(1, self._settings.parked_max // partitions)
        return min(self._settings.batch_size - taken, parked_max - self._in_flight.waiting)

    async def _read_new(self, room: int, bytes_max: int, block_ms: int | None) -> list[Entry | Unreadable]:
        with self._noting_lost_replies():
            new = await self._stream.read(self._lease.consumer, min(room, self._reply_size.now), bytes_max, block_ms)
        self._reply_size.passed(len(new))
        self._in_flight.add(new)
        return new

    @contextmanager
    def _noting_lost_replies(self) -> Iterator[None]:
        try:
            yield
        except (RedisTimeoutError, RedisConnectionError):
            self._reply_lost = True
            raise

    async def _judge_lost_reply(self) -> None:
        """If a reply was lost, and Redis answers now, ask for fewer entries: some networks swallow large replies only.

        What was lost is pending, and is reclaimed like the entries of a dead worker. Raises RedisError in an outage.
        """
        if not self._reply_lost:
            return
        await self._stream.ping()
        self._reply_lost = False
        self._reply_size.shrink()
        log.warning("a reply of Redis with entries was lost; fewer are asked for at a time",
                    entries_at_once=self._reply_size.now)  # fmt: skip

    async def _take_due(self) -> list[Entry]:
        """Return delayed entries that are due. Where the attempt counts, Redis counts it first."""
        free, counted = self._in_flight.delayed.take_due(
            time.monotonic(), self._settings.batch_size, self._settings.batch_bytes_max
        )
        self._in_flight.add(free)
        again = [replace(entry, attempt=entry.attempt + 1) for entry in counted]
        self._in_flight.add(again)
        kept = await self._stream.count_attempt(self._lease.consumer, again)
        self._in_flight.remove(without(again, kept))
        return [*free, *kept]

    async def _reclaim(self) -> list[Entry | Unreadable]:
        """Return entries of workers that died. A walk of the pending list that finds none is followed by a pause."""
        room = self._room(0)
        if room <= 0 or not self.is_reclaim_due:
            return []
        consumer, idle_ms = self._lease.consumer, self._settings.claim_idle_ms
        if stranded := await self._stream.requeue_stranded(consumer, idle_ms):
            log.warning(STRANDED, entries=stranded)
        with self._noting_lost_replies():
            reclaimed = await self._stream.reclaim(
                self._lease.consumer,
                self._settings.claim_idle_ms,
                min(room, self._reply_size.now),
                quarantine_after(self._settings.max_attempts),
                self._settings.batch_bytes_max,
            )
        self._reply_size.passed(len(reclaimed.entries))
        entries = [entry for entry in reclaimed.entries if not self._in_flight.is_waiting(entry.entry_id)]
        for alone, wait_s in reclaimed.alone:
            if not self._in_flight.is_waiting(alone.entry_id):
                self._in_flight.delay([alone], wait_s)
        self._in_flight.add(entries)
        await self._record_deaths([*entries, *(alone for alone, _ in reclaimed.alone)], reclaimed)
        if reclaimed.gone:
            self._metrics.gone(len(reclaimed.gone))
            log.critical("entries were pending but are gone from the stream: somebody trimmed or deleted them; "
                         "compare with the provider's list of events", entries=reclaimed.gone)  # fmt: skip
        if entries:
            self._metrics.reclaimed(len(entries))
            log.info("reclaimed entries of a worker that died or was stopped", entries=len(entries))
        else:
            pause_s = self._settings.claim_idle_ms / 3000 * random.uniform(0.5, 1)  # noqa: S311 - jitter
            self._reclaim_at_s = time.monotonic() + pause_s
        return entries

    async def _record_deaths(self, entries: Sequence[Entry | Unreadable], reclaimed: Reclaimed) -> None:
        """Record the attempts that ended with their worker, for `make pending` and the next owner."""
        by_consumer: dict[str, list[Entry]] = {}
        for entry in entries:
            if isinstance(entry, Entry) and (consumer := reclaimed.left_by.get(entry.entry_id)):
                by_consumer.setdefault(consumer, []).append(entry)
        for consumer, left in by_consumer.items():
            failed = [replace(entry, attempt=entry.past.failed) for entry in left]
            await self._stream.record_failure(self._lease.consumer, failed, "retry", DIED.format(consumer), 0)


def _bytes_of(entries: Iterable[Entry | Unreadable]) -> int:
    return sum(entry.size_bytes for entry in entries)
