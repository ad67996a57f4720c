"""What a worker holds: entries of the present batch, and entries that wait for their time."""

import time
from collections.abc import Iterable, Sequence

from consumers.delay_queue import DelayQueue
from consumers.entry import Entry, Unreadable


class InFlight:
    """Every entry a worker has read is in hand, parked, or done with: settled, or buried."""

    def __init__(self) -> None:
        self.parking = DelayQueue()
        self._in_hand: dict[str, Entry] = {}

    @property
    def in_hand(self) -> list[Entry]:
        """The entries of the present batch that nothing has become of yet."""
        return list(self._in_hand.values())

    @property
    def entry_ids(self) -> list[str]:
        """The ids of all entries held, in hand or parked."""
        return [*self._in_hand, *self.parking.entry_ids]

    @property
    def resources(self) -> set[tuple[str, str]]:
        """What the entries in hand are about: pairs of namespace and resource."""
        return {(entry.event.namespace, entry.event.resource) for entry in self._in_hand.values()}

    def take_up(self, entries: Iterable[Entry | Unreadable]) -> None:
        """Holds entries as part of the present batch. One that is no envelope is not held: it stays pending."""
        self._in_hand.update((entry.entry_id, entry) for entry in entries if isinstance(entry, Entry))

    def put_down(self, entries: Iterable[Entry | Unreadable]) -> None:
        """Lets go of entries that are done with, or somebody else's."""
        for entry in entries:
            self._in_hand.pop(entry.entry_id, None)

    def park(self, entries: Sequence[Entry], wait_s: float, *, attempt_counts: bool = False) -> None:
        """Moves entries out of the batch, until `wait_s` from now."""
        self.put_down(entries)
        self.parking.park(entries, time.monotonic() + wait_s, attempt_counts=attempt_counts)


def without(entries: Iterable[Entry], others: Iterable[Entry]) -> list[Entry]:
    """The entries that are not among the others."""
    ids = {entry.entry_id for entry in others}
    return [entry for entry in entries if entry.entry_id not in ids]
