"""Entries a worker keeps in its hands until it is their time: nothing here is lost, for they are still pending."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf

from consumers.entry import Entry


@dataclass(order=True, slots=True)
class _Parked:
    due_s: float
    order: int
    entry: Entry = field(compare=False)
    attempt_counts: bool = field(compare=False)


class DelayQueue:
    """Waiting entries by the monotonic second they are due. `attempt_counts`: the next try is another delivery."""

    def __init__(self) -> None:
        self._heap: list[_Parked] = []
        self._entry_ids: set[str] = set()
        self._order = count()
        self.size_bytes = 0
        """What all that wait take in memory."""

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._entry_ids

    @property
    def entry_ids(self) -> frozenset[str]:
        """The ids of all that wait."""
        return frozenset(self._entry_ids)

    @property
    def next_due_s(self) -> float | None:
        """When the first of them is due, or None."""
        return self._heap[0].due_s if self._heap else None

    def park(self, entries: Iterable[Entry], due_s: float, *, attempt_counts: bool = False) -> None:
        """Keeps entries until `due_s`."""
        for entry in entries:
            heapq.heappush(self._heap, _Parked(due_s, next(self._order), entry, attempt_counts))
            self._entry_ids.add(entry.entry_id)
            self.size_bytes += entry.size_bytes

    def take_due(self, now_s: float, limit: int, bytes_max: float = inf) -> tuple[list[Entry], list[Entry]]:
        """Up to `limit` entries that are due: those tried again for free, and those whose attempt counts.

        The one that reaches `bytes_max` is the last.
        """
        free: list[Entry] = []
        counted: list[Entry] = []
        bytes_left = bytes_max
        while self._heap and self._heap[0].due_s <= now_s and len(free) + len(counted) < limit and bytes_left > 0:
            parked = heapq.heappop(self._heap)
            self._entry_ids.discard(parked.entry.entry_id)
            self.size_bytes -= parked.entry.size_bytes
            bytes_left -= parked.entry.size_bytes
            (counted if parked.attempt_counts else free).append(parked.entry)
        return free, counted

    def take_all(self) -> tuple[list[Entry], list[Entry]]:
        """Everything, due or not, in the same two lists."""
        return self.take_due(inf, len(self._heap))
