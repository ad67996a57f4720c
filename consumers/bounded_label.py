"""A limit on the different values of a metric's label."""

LABEL_VALUES_MAX = 200
"""Different values of one label in a worker; further ones are counted as `other`."""

OTHER = "other"


class BoundedLabel:
    """Limits the number of a label's values."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, value: str) -> str:
        """Return the value, or OTHER where there are too many already."""
        if value not in self._known:
            if len(self._known) >= LABEL_VALUES_MAX:
                return OTHER
            self._known.add(value)
        return value
