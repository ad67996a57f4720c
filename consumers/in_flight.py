"""The entries a worker holds: those of the present batch, and those that wait for their retry."""

import time
from collections.abc import Iterable, Sequence

from consumers.delay_queue import DelayQueue
from consumers.entry import Entry, Unreadable


class InFlight:
    """Every entry a worker has read and neither acknowledged nor dead-lettered."""

    def __init__(self) -> None:
        self.delayed = DelayQueue()
        self.slow = DelayQueue()
        """Entries that wait for the side lane."""
        self.alone: dict[str, Entry] = {}
        """Entries that are in work in the side lane, by their ids."""
        self._batch: dict[str, Entry] = {}

    @property
    def batch(self) -> list[Entry]:
        """The entries of the present batch that have no outcome yet."""
        return list(self._batch.values())

    @property
    def entry_ids(self) -> list[str]:
        """The ids of all entries: in the batch, delayed, or in the side lane."""
        return [*self._batch, *self.alone, *self.delayed.entry_ids, *self.slow.entry_ids]

    @property
    def waiting(self) -> int:
        """The number of entries that are delayed, or wait for the side lane."""
        return len(self.delayed) + len(self.slow)

    @property
    def waiting_bytes(self) -> int:
        """The memory that these take."""
        return self.delayed.size_bytes + self.slow.size_bytes

    def is_waiting(self, entry_id: str) -> bool:
        """Return whether it is delayed already, or in the side lane."""
        return entry_id in self.delayed or entry_id in self.slow or entry_id in self.alone

    @property
    def resources(self) -> set[tuple[str, str]]:
        """The namespace and resource of each entry in the batch."""
        return {entry.resource_key for entry in self._batch.values()}

    def add(self, entries: Iterable[Entry | Unreadable]) -> None:
        """Add entries to the present batch. An undecodable one is skipped: it stays pending until dead-lettered."""
        self._batch.update((entry.entry_id, entry) for entry in entries if isinstance(entry, Entry))

    def remove(self, entries: Iterable[Entry | Unreadable]) -> None:
        """Remove entries that are finished, or that another worker has now."""
        for entry in entries:
            self._batch.pop(entry.entry_id, None)

    def delay(self, entries: Sequence[Entry], wait_s: float, *, attempt_counts: bool = False) -> None:
        """Move entries from the batch to the delay queue, or to that of the side lane, due in `wait_s`."""
        self.remove(entries)
        due_s = time.monotonic() + wait_s
        self.delayed.add([entry for entry in entries if not entry.alone], due_s, attempt_counts=attempt_counts)
        self.slow.add([entry for entry in entries if entry.alone], due_s, attempt_counts=attempt_counts)


def without(entries: Iterable[Entry], others: Iterable[Entry]) -> list[Entry]:
    """Return the entries that are not among the others."""
    ids = {entry.entry_id for entry in others}
    return [entry for entry in entries if entry.entry_id not in ids]
