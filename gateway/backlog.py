"""How much waits in all partitions together, as far as this process knows: BACKLOG_LIMIT holds in sum."""


class Backlog:
    """The length of each partition's stream, as this process saw it last: at each batch, and every few seconds.

    A partition may use what the others leave of the limit, so that one that is much written to is not refused early.
    """

    def __init__(self, partitions: int, limit: int) -> None:
        self._lengths = [0] * partitions
        self._limit = limit

    @property
    def entries(self) -> int:
        """The entries in all streams."""
        return sum(self._lengths)

    def limit_of(self, partition: int) -> int:
        """Return the length of this partition's stream from which it takes no more."""
        return max(0, self._limit - self.entries + self._lengths[partition])

    def saw(self, partition: int, length: int) -> None:
        """Note the length of a stream."""
        self._lengths[partition] = length
