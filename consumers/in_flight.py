"""The entries a worker holds: those of the present batch, and those that wait for their retry."""

import time
from collections.abc import Iterable, Sequence

from consumers.delay_queue import DelayQueue
from consumers.entry import Entry, Unreadable


class InFlight:
    """Every entry a worker has read and neither acknowledged nor dead-lettered."""

    def __init__(self) -> None:
        self.delayed = DelayQueue()
        self._batch: dict[str, Entry] = {}

    @property
    def batch(self) -> list[Entry]:
        """The entries of the present batch that have no outcome yet."""
        return list(self._batch.values())

    @property
    def entry_ids(self) -> list[str]:
        """The ids of all entries, in the batch or delayed."""
        return [*self._batch, *self.delayed.entry_ids]

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
        """Move entries from the batch to the delay queue, due in `wait_s`."""
        self.remove(entries)
        self.delayed.add(entries, time.monotonic() + wait_s, attempt_counts=attempt_counts)


def without(entries: Iterable[Entry], others: Iterable[Entry]) -> list[Entry]:
    """Return the entries that are not among the others."""
    ids = {entry.entry_id for entry in others}
    return [entry for entry in entries if entry.entry_id not in ids]
