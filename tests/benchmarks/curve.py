"""What an event costs as the history grows: histories of several sizes in one run, and what follows for a larger one.

Between two checkpoints E events change pages chosen at random, among P pages of an index, and each changed page goes to
the log as a whole once: P (1 - exp(-E / P)) pages. P grows with the rows r. So full pages per event are
k · g(r / c) with g(x) = x (1 - exp(-1 / x)): k is the number of such indexes, c the rows at which E equals P. WAL bytes
are a line over full pages. Both are fitted by least squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log10

from tests.benchmarks.figures import Figure

SIZES = (100_000, 1_000_000, 3_000_000, 10_000_000)
EXTRAPOLATED = 100_000_000

_STEPS = 2000


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at one size: per event."""

    rows: int
    full_pages: float
    wal_bytes: float


@dataclass(frozen=True, slots=True)
class Fit:
    """k and c as above, and the line of WAL bytes over full pages."""

    indexes: float
    rows_scale: float
    wal_base: float
    wal_per_page: float

    def full_pages(self, rows: float) -> float:
        """Return the full pages per event of a history of this size."""
        return self.indexes * _share(rows / self.rows_scale)

    def wal_bytes(self, rows: float) -> float:
        """Return the WAL bytes per event of a history of this size."""
        return self.wal_base + self.wal_per_page * self.full_pages(rows)


def fit(points: Sequence[Point]) -> Fit:
    """Fit the curve: c by trying values a hundredth of a decade apart, all else in closed form."""
    rows = [point.rows for point in points]
    low, high = log10(min(rows)) - 3, log10(max(rows)) + 3
    scales = [10 ** (low + (high - low) * step / _STEPS) for step in range(_STEPS + 1)]
    _, scale, indexes = min(_error(points, scale) for scale in scales)
    pages, wal = [point.full_pages for point in points], [point.wal_bytes for point in points]
    mean_pages, mean_wal = sum(pages) / len(pages), sum(wal) / len(wal)
    spread = sum((page - mean_pages) ** 2 for page in pages)
    slope = sum((p - mean_pages) * (w - mean_wal) for p, w in zip(pages, wal, strict=True)) / spread if spread else 0.0
    return Fit(indexes, scale, mean_wal - slope * mean_pages, slope)


def _error(points: Sequence[Point], scale: float) -> tuple[float, float, float]:
    shares = [_share(point.rows / scale) for point in points]
    indexes = sum(point.full_pages * share for point, share in zip(points, shares, strict=True)) / sum(
        share * share for share in shares
    )
    squares = sum((point.full_pages - indexes * share) ** 2 for point, share in zip(points, shares, strict=True))
    return squares, scale, indexes


def _share(x: float) -> float:
    return x * (1 - exp(-1 / x))


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
        Figure(group, "fit: indexes with random pages", found.indexes, ""),
        Figure(group, "fit: rows at which events between checkpoints equal pages", found.rows_scale, ""),
    ]
