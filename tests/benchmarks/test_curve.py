"""The fit of the cost of an event over the size of the history."""

import pytest

from tests.benchmarks.curve import EXTRAPOLATED, SIZES, Fit, Point, figures, fit


@pytest.mark.parametrize(("indexes", "scale"), [(4.0, 5e6), (3.0, 3e7), (0.5, 2e5)])
def test_the_fit_finds_the_curve_that_the_points_are_on(indexes: float, scale: float) -> None:
    true = Fit(indexes, scale, 2900.0, 5200.0)
    points = [Point(rows, true.full_pages(rows), true.wal_bytes(rows)) for rows in SIZES]
    found = fit(points)
    assert found.full_pages(EXTRAPOLATED) == pytest.approx(true.full_pages(EXTRAPOLATED), rel=0.01)
    assert found.wal_bytes(EXTRAPOLATED) == pytest.approx(true.wal_bytes(EXTRAPOLATED), rel=0.01)


def test_a_cost_that_does_not_grow_is_extrapolated_as_it_is() -> None:
    points = [Point(rows, 0.2, 3900.0) for rows in SIZES]
    assert fit(points).full_pages(EXTRAPOLATED) == pytest.approx(0.2, rel=0.05)
    assert figures(points, "flat")[-4].ours == pytest.approx(3900.0, rel=0.05)
