"""What an event costs as the history grows: histories of several sizes in one run, and what follows for a larger one.

Between two checkpoints E events change pages chosen at random, among P pages of an index, and each changed page goes to
the log as a whole once: P (1 - exp(-E / P)) pages. So full pages per event are k · g(P / E), where k indexes have
random keys and g(x) = x (1 - exp(-1 / x)). P / E is a line over the rows of the history, fitted by least squares: it
begins above 0, because a turn's own events have a payment each, those of the history a fourth. WAL bytes are a line
over full pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from tests.benchmarks.figures import Figure

SIZES = (100_000, 1_000_000, 3_000_000, 10_000_000)
EXTRAPOLATED = 100_000_000

RANDOM_INDEXES = 4
"""The keys of events, payments and transfers, and the transfers' index by payment."""

_LARGEST = 1e4
"""Above that each event changes pages of its own."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at one size: per event."""

    rows: int
    full_pages: float
    wal_bytes: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line by least squares; a constant where all x are equal."""

    base: float
    slope: float

    @classmethod
    def through(cls, xs: Sequence[float], ys: Sequence[float]) -> "Line":
        """Return the line that is nearest to these points."""
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((x - mean_x) ** 2 for x in xs)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0
        return cls(mean_y - slope * mean_x, slope)

    def __call__(self, x: float) -> float:
        return self.base + self.slope * x


@dataclass(frozen=True, slots=True)
class Fit:
    """P / E over rows, and WAL bytes over full pages."""

    pages_per_event: Line
    wal: Line

    def full_pages(self, rows: float) -> float:
        """Return the full pages per event of a history of this size."""
        return RANDOM_INDEXES * _changed(min(max(self.pages_per_event(rows), 1 / _LARGEST), _LARGEST))

    def wal_bytes(self, rows: float) -> float:
        """Return the WAL bytes per event of a history of this size."""
        return self.wal(self.full_pages(rows))


def fit(points: Sequence[Point]) -> Fit:
    """Fit both lines."""
    pages = [point.full_pages for point in points]
    return Fit(
        Line.through([point.rows for point in points], [_inverse(page / RANDOM_INDEXES) for page in pages]),
        Line.through(pages, [point.wal_bytes for point in points]),
    )


def _changed(x: float) -> float:
    return x * (1 - exp(-1 / x))


def _inverse(changed: float) -> float:
    """Return the x whose `_changed` is this, by halving."""
    low, high = 1 / _LARGEST, _LARGEST
    while high - low > low / 1e6:
        middle = (low + high) / 2
        low, high = (middle, high) if _changed(middle) < changed else (low, middle)
    return low


def figures(points: Sequence[Point], group: str) -> list[Figure]:
    """Return what was measured, and what the fit says about it and about a larger history."""
    found = fit(points)
    listed = []
    for point in points:
        at = f"at {point.rows:,} rows"
        listed.append(Figure(group, f"WAL per event {at}", point.wal_bytes, "B", found.wal_bytes(point.rows), "fit"))
        listed.append(
            Figure(group, f"full pages per event {at}", point.full_pages, "", found.full_pages(point.rows), "fit")
        )
    at = f"at {EXTRAPOLATED:,} rows, by the fit"
    return [
        *listed,
        Figure(group, f"WAL per event {at}", found.wal_bytes(EXTRAPOLATED), "B"),
        Figure(group, f"full pages per event {at}", found.full_pages(EXTRAPOLATED), ""),
    ]
