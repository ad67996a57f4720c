"""Entries that wait in a worker's memory for their next try. None can be lost: in Redis they are still pending."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf

from consumers.entry import Entry


@dataclass(order=True, slots=True)
class _Delayed:
    due_s: float
    order: int
    entry: Entry = field(compare=False)
    attempt_counts: bool = field(compare=False)


class DelayQueue:
    """Entries ordered by the monotonic second they are due. `attempt_counts`: the next try is another delivery."""

    def __init__(self) -> None:
        self._heap: list[_Delayed] = []
        self._entry_ids: set[str] = set()
        self._order = count()
        self.size_bytes = 0
        """The memory that the entries' values take."""

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._entry_ids

    @property
    def entry_ids(self) -> frozenset[str]:
        """The ids of all delayed entries."""
        return frozenset(self._entry_ids)

    @property
    def next_due_s(self) -> float | None:
        """When the first entry is due, or None where the queue is empty."""
        return self._heap[0].due_s if self._heap else None

    def add(self, entries: Iterable[Entry], due_s: float, *, attempt_counts: bool = False) -> None:
        """Keep entries until `due_s`."""
        for entry in entries:
            heapq.heappush(self._heap, _Delayed(due_s, next(self._order), entry, attempt_counts))
            self._entry_ids.add(entry.entry_id)
            self.size_bytes += entry.size_bytes

    def take_due(self, now_s: float, limit: int, bytes_max: float = inf) -> tuple[list[Entry], list[Entry]]:
        """Remove and return up to `limit` due entries: those whose next try does not count, and those whose does.

        The entry that reaches `bytes_max` is the last one.
        """
        free: list[Entry] = []
        counted: list[Entry] = []
        bytes_left = bytes_max
        while self._heap and self._heap[0].due_s <= now_s and len(free) + len(counted) < limit and bytes_left > 0:
            delayed = heapq.heappop(self._heap)
            self._entry_ids.discard(delayed.entry.entry_id)
            self.size_bytes -= delayed.entry.size_bytes
            bytes_left -= delayed.entry.size_bytes
            (counted if delayed.attempt_counts else free).append(delayed.entry)
        return free, counted

    def take_all(self) -> tuple[list[Entry], list[Entry]]:
        """Remove and return all entries, due or not, in the same two lists."""
        return self.take_due(inf, len(self._heap))
