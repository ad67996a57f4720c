"""How many entries to ask for at a time, where large batches fail."""

SHRINKS_BY = 4
"""A size that failed is divided by this."""

GROWS_AFTER = 50
"""Full batches after which twice the size is tried. Doubles each time a size fails that was grown to."""

GROWS_AFTER_MAX = 3200


class BatchSize:
    """A number of entries that falls where batches fail because of their size, and grows again while they pass."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._passed = 0
        self._grows_after = GROWS_AFTER
        self._has_grown = False
        self.now = largest
        """The entries to ask for."""

    def shrink(self) -> None:
        """Note that a batch of this size failed."""
        if self._has_grown:
            self._grows_after = min(GROWS_AFTER_MAX, self._grows_after * 2)
        self.now = max(1, self.now // SHRINKS_BY)
        self._passed = 0
        self._has_grown = False

    def passed(self, entries: int) -> None:
        """Note that a batch of this number of entries came through."""
        if entries < self.now or self.now >= self._largest:
            return
        self._passed += 1
        if self._passed >= self._grows_after:
            self.now = min(self._largest, self.now * 2)
            self._passed = 0
            self._has_grown = self.now < self._largest
            if self.now == self._largest:
                self._grows_after = GROWS_AFTER
