"""How many events of a batch are done at a time, where some turn out to have slow handlers."""

import math

PART_COSTS = 20
"""What a part costs besides its events, in events: a savepoint, and statements that are made once for all of them."""

SHARE_WEIGHT = 0.002
"""How much one event changes the share: the last five hundred or so decide."""


class PartSize:
    """A number of events, by the share of slow ones of late.

    Parts of `n` events cost `PART_COSTS / n` more for each event, and about `n` for each slow one, as its part is done
    again. The sum is least where `n` is the root of `PART_COSTS / share`.
    """

    def __init__(self) -> None:
        self._slow_share = 0.0

    def note(self, events: int, slow: int) -> None:
        """Note that `slow` of these `events` were found to be slow."""
        self._slow_share = self._slow_share * (1 - SHARE_WEIGHT) ** events + slow * SHARE_WEIGHT

    def of(self, events: int) -> int:
        """Return the size of the parts of a batch: all of the same size, or one with all events."""
        if self._slow_share * events**2 <= PART_COSTS:
            return events
        largest = max(1, math.isqrt(int(PART_COSTS / self._slow_share)))
        return math.ceil(events / math.ceil(events / largest))
