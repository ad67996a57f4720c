"""Where a worker's entries come from: dead workers' first, then what is due again, then what is new."""

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
    """Reads for one worker, within the limits of its hands."""

    def __init__(self, stream: Stream, slot: Lease, hands: InFlight, settings: Settings, metrics: Metrics) -> None:
        self._stream = stream
        self._slot = slot
        self._hands = hands
        self._settings = settings
        self._metrics = metrics
        self._take_over_at_s = 0.0

    @property
    def is_walk_due(self) -> bool:
        """Whether it is time to look for what dead workers left behind; also the time for housekeeping."""
        return time.monotonic() >= self._take_over_at_s

    async def gather(self, *, read_new: bool) -> list[Entry | Unreadable] | None:
        """The next batch: what dead workers left behind, else what is due again and, if wanted, what is new.

        Waits for new entries until a parked one is due, or BLOCK_MS. None where the hands are too full to read any.
        """
        if taken := await self._take_over():
            return taken
        due = await self._take_due()
        bytes_left = self._settings.batch_bytes_max - _bytes_of(due)
        room = self._room(len(due)) if bytes_left > 0 else 0
        if due and (room <= 0 or not read_new):
            return [*due]
        if room <= 0:
            return None
        block_ms = None if due else max(1, int(self.until_due_s() * 1000))
        read = await self._stream.read(self._slot.consumer, room, bytes_left, block_ms)
        self._hands.take_up(read)
        return [*due, *read]

    async def read_ahead(self) -> list[Entry | Unreadable]:
        """The batch after the present one, as far as it waits already, read while that one is being committed.

        Nothing where something else has to go first, so that neither retries nor dead workers' entries starve.
        """
        if self.is_walk_due or self.until_due_s() == 0:
            return []
        room = self._room(0)
        if room <= 0:
            return []
        read = await self._stream.read(self._slot.consumer, room, self._settings.batch_bytes_max, None)
        self._hands.take_up(read)
        return read

    def _room(self, taken: int) -> int:
        """How many entries may still be taken into a batch of `taken`."""
        if self._hands.parking.size_bytes >= self._settings.parked_bytes_max:
            return 0
        return min(self._settings.batch_size - taken, self._settings.parked_max - len(self._hands.parking))

    async def _take_due(self) -> list[Entry]:
        """Parked entries whose time has come; where the attempt counts, Redis counts it first."""
        free, counted = self._hands.parking.take_due(
            time.monotonic(), self._settings.batch_size, self._settings.batch_bytes_max
        )
        self._hands.take_up(free)
        again = [replace(entry, deliveries=entry.deliveries + 1) for entry in counted]
        self._hands.take_up(again)
        kept = await self._stream.count_attempt(self._slot.consumer, again)
        self._hands.put_down(without(again, kept))
        return [*free, *kept]

    async def _take_over(self) -> list[Entry | Unreadable]:
        """Entries of workers that died. A walk of the pending list that found none is followed by a pause."""
        room = self._room(0)
        if room <= 0 or time.monotonic() < self._take_over_at_s:
            return []
        taken = await self._stream.take_over(
            self._slot.consumer,
            self._settings.claim_idle_ms,
            room,
            quarantine_after(self._settings.max_attempts),
            self._settings.batch_bytes_max,
        )
        entries = [entry for entry in taken.entries if entry.entry_id not in self._hands.parking]
        self._hands.take_up(entries)
        if taken.gone:
            self._metrics.gone(len(taken.gone))
            log.critical("entries were pending but are gone from the stream: somebody trimmed or deleted them; "
                         "compare with the provider's list of events", entries=taken.gone)  # fmt: skip
        if entries:
            self._metrics.reclaimed(len(entries))
            log.info("took over entries their worker left behind", entries=len(entries))
        else:
            self._take_over_at_s = time.monotonic() + self._settings.claim_idle_ms / 3000 * random.uniform(0.5, 1)  # noqa: S311 - jitter
        return entries

    def until_due_s(self) -> float:
        """How long nothing is due: until the first parked entry is, or as long as a read may block."""
        longest_s = self._settings.block_ms / 1000
        due_s = self._hands.parking.next_due_s
        return longest_s if due_s is None else min(longest_s, max(0.0, due_s - time.monotonic()))


def _bytes_of(entries: Iterable[Entry | Unreadable]) -> int:
    return sum(entry.size_bytes for entry in entries)
