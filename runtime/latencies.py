"""A histogram of seconds for what happens with every event: an observation costs a bisection and two additions.

prometheus_client's own takes two locks for each observation, or writes to a shared file twice. Here they are added up
in the process, and written by `flush`, which its owner calls now and then on the thread that observes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, values
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""The upper bounds of the buckets; those of the service levels, 1 s and 5 s, are among them."""


class Latencies(Collector):
    """The histograms of one metric, one for each combination of label values."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str] = (), *, registry: CollectorRegistry,
        bounds_s: Sequence[float] = SECONDS,
    ) -> None:  # fmt: skip
        self._name = name
        self._text = text
        self._label_names = tuple(labels)
        self._bounds_s = tuple(map(float, bounds_s))
        self._children: dict[tuple[str, ...], Latency] = {}
        registry.register(self)

    def labels(self, *label_values: str) -> "Latency":
        """Return the histogram with these values of the labels. Keep it: looking it up costs more than observing."""
        if label_values not in self._children:
            self._children[label_values] = Latency(self._bounds_s, *self._stored(label_values))
        return self._children[label_values]

    def flush(self) -> None:
        """Write what was observed since the last call."""
        for child in self._children.values():
            child.flush()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric as it was last flushed."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._label_names)
        for label_values, child in self._children.items():
            buckets, sum_s = child.flushed()
            family.add_metric(label_values, buckets, sum_s)
        yield family

    def _stored(self, label_values: tuple[str, ...]) -> tuple[list[Any], Any]:
        """Return the library's values, which it keeps in memory, or in a file that all processes of a host share."""

        def value(suffix: str, names: Sequence[str], of: Sequence[str]) -> Any:  # noqa: ANN401 - one of two classes
            return values.ValueClass("histogram", self._name, f"{self._name}_{suffix}", names, of, self._text)

        bounds = map(floatToGoString, (*self._bounds_s, float("inf")))
        buckets = [value("bucket", (*self._label_names, "le"), (*label_values, bound)) for bound in bounds]
        return buckets, value("sum", self._label_names, label_values)


class Latency:
    """One histogram."""

    __slots__ = ("_bounds_s", "_buckets", "_counts", "_sum", "_sum_s")

    def __init__(self, bounds_s: Sequence[float], buckets: Sequence[Any], sum_value: Any) -> None:  # noqa: ANN401
        self._bounds_s = bounds_s
        self._buckets = buckets
        self._sum = sum_value
        self._counts = [0] * len(buckets)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; one below zero, as clocks of two machines make it, counts as zero."""
        if seconds < 0:
            seconds = 0.0
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._sum_s += seconds

    def observe_all(self, durations_s: Iterable[float]) -> None:
        """Count many at once."""
        for seconds in durations_s:
            self.observe(seconds)

    def flush(self) -> int:
        """Write what was observed since the last call; return how many durations that were."""
        total = 0
        for number, count in enumerate(self._counts):
            if count:
                self._buckets[number].inc(count)
                self._counts[number] = 0
                total += count
        if total:
            self._sum.inc(self._sum_s)
            self._sum_s = 0.0
        return total

    def flushed(self) -> tuple[list[tuple[str, float]], float]:
        """Return the buckets, each with all below it, and the sum."""
        bounds = map(floatToGoString, (*self._bounds_s, float("inf")))
        below, buckets = 0.0, []
        for bound, bucket in zip(bounds, self._buckets, strict=True):
            below += bucket.get()
            buckets.append((bound, below))
        return buckets, self._sum.get()
