"""Reads a worker's entries: first those of dead workers, then those due again, then new ones."""

import random
import time
from collections.abc import Iterable
from dataclasses import replace

import structlog

from consumers.entry import Entry, Unreadable
from consumers.in_flight import InFlight, without
from consumers.lease import Lease
from consumers.metrics import Metrics
from consumers.retry import quarantine_after
from consumers.settings import Settings
from consumers.stream import Stream

log = structlog.get_logger()


class Fetcher:
    """Reads batches for one worker, and adds each to its entries in flight, within the limits for those."""

    def __init__(self, stream: Stream, lease: Lease, in_flight: InFlight, settings: Settings, metrics: Metrics) -> None:
        self._stream = stream
        self._lease = lease
        self._in_flight = in_flight
        self._settings = settings
        self._metrics = metrics
        self._reclaim_at_s = 0.0

    @property
    def is_reclaim_due(self) -> bool:
        """Whether it is time to look for entries of dead workers."""
        return time.monotonic() >= self._reclaim_at_s

    async def next_batch(self, *, read_new: bool) -> list[Entry | Unreadable] | None:
        """Return entries of dead workers if there are any, else entries that are due again and, if wanted, new ones.

        Waits for new entries until a delayed one is due, or BLOCK_MS. None where too many entries are delayed already.
        """
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
        new = await self._stream.read(self._lease.consumer, room, bytes_left, block_ms)
        self._in_flight.add(new)
        return [*due, *new]

    async def prefetch(self) -> list[Entry | Unreadable]:
        """Return new entries without waiting for any, while the present batch is being committed.

        Returns none where other entries go first, so that neither retries nor dead workers' entries starve.
        """
        if self.is_reclaim_due or self.until_due_s() == 0:
            return []
        room = self._room(0)
        if room <= 0:
            return []
        new = await self._stream.read(self._lease.consumer, room, self._settings.batch_bytes_max, None)
        self._in_flight.add(new)
        return new

    def until_due_s(self) -> float:
        """Return the time until the first delayed entry is due, at most as long as a read may block."""
        longest_s = self._settings.block_ms / 1000
        due_s = self._in_flight.delayed.next_due_s
        return longest_s if due_s is None else min(longest_s, max(0.0, due_s - time.monotonic()))

    def _room(self, taken: int) -> int:
        """Return how many entries may be added to a batch of `taken`."""
        delayed = self._in_flight.delayed
        if delayed.size_bytes >= self._settings.parked_bytes_max:
            return 0
        return min(self._settings.batch_size - taken, self._settings.parked_max - len(delayed))

    async def _take_due(self) -> list[Entry]:
        """Return delayed entries that are due. Where the attempt counts, Redis counts it first."""
        free, counted = self._in_flight.delayed.take_due(
            time.monotonic(), self._settings.batch_size, self._settings.batch_bytes_max
        )
        self._in_flight.add(free)
        again = [replace(entry, deliveries=entry.deliveries + 1) for entry in counted]
        self._in_flight.add(again)
        kept = await self._stream.count_attempt(self._lease.consumer, again)
        self._in_flight.remove(without(again, kept))
        return [*free, *kept]

    async def _reclaim(self) -> list[Entry | Unreadable]:
        """Return entries of workers that died. A walk of the pending list that finds none is followed by a pause."""
        room = self._room(0)
        if room <= 0 or not self.is_reclaim_due:
            return []
        reclaimed = await self._stream.reclaim(
            self._lease.consumer,
            self._settings.claim_idle_ms,
            room,
            quarantine_after(self._settings.max_attempts),
            self._settings.batch_bytes_max,
        )
        entries = [entry for entry in reclaimed.entries if entry.entry_id not in self._in_flight.delayed]
        self._in_flight.add(entries)
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


def _bytes_of(entries: Iterable[Entry | Unreadable]) -> int:
    return sum(entry.size_bytes for entry in entries)
