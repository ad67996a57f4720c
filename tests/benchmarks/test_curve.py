"""The fit of the cost of an event over the size of the history."""

import pytest

from tests.benchmarks.curve import EXTRAPOLATED, RANDOM_INDEXES, SIZES, Fit, Line, Point, figures, fit


@pytest.mark.parametrize("pages_per_event", [Line(0.02, 6e-8), Line(0.1, 1e-9), Line(0.0, 2e-7)])
def test_the_fit_finds_the_curve_that_the_points_are_on(pages_per_event: Line) -> None:
    true = Fit(pages_per_event, Line(2900.0, 5200.0))
    found = fit([Point(rows, true.full_pages(rows), true.wal_bytes(rows)) for rows in SIZES])
    assert found.full_pages(EXTRAPOLATED) == pytest.approx(true.full_pages(EXTRAPOLATED), rel=0.01)
    assert found.wal_bytes(EXTRAPOLATED) == pytest.approx(true.wal_bytes(EXTRAPOLATED), rel=0.01)


def test_no_event_changes_more_pages_than_there_are_indexes() -> None:
    assert Fit(Line(0.0, 1.0), Line(0.0, 1.0)).full_pages(EXTRAPOLATED) <= RANDOM_INDEXES


def test_a_cost_that_does_not_grow_is_extrapolated_as_it_is() -> None:
    points = [Point(rows, 0.2, 3900.0) for rows in SIZES]
    assert [round(figure.ours, 1) for figure in figures(points, "flat")[-2:]] == [3900.0, 0.2]
