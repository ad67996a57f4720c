"""Which time a run compares, and what is complete after it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from operations.reconcile.errors import WindowError
from operations.reconcile.store import Compared
from operations.reconcile.windows import REACH_MARGIN, extended, plan, scheduled
from providers.api import Window

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GRACE = timedelta(minutes=5)


def window(since: float, until: float) -> Window:
    """Return the window between two times, each in hours before now."""
    return Window(NOW - since * HOUR, NOW - until * HOUR)


def compared(since: float, until: float) -> Compared:
    return Compared(NOW - since * HOUR, NOW - until * HOUR)


NOTHING = Compared(None, None)


def test_what_is_young_is_not_compared_yet() -> None:
    planned = plan(window(24, 0), NOW, reach=30 * DAY, not_yet=GRACE)
    assert planned.window == Window(NOW - DAY, NOW - GRACE)
    assert planned.cut == ""


def test_what_the_provider_does_not_list_any_more_is_cut_and_named() -> None:
    planned = plan(Window(NOW - 60 * DAY, NOW), NOW, reach=30 * DAY, not_yet=GRACE)
    assert planned.window.since == NOW - 30 * DAY + REACH_MARGIN
    assert planned.cut == (
        "the provider lists nothing from before 2026-10-27 12:05:00 UTC, so what it had from 2026-09-27 12:00:00 UTC "
        "until then cannot be known"
    )


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (window(12, 24), "not after 2026-11-26 00:00:00 UTC, when it begins"),
        (window(0.01, 0), "on its way"),
        (window(-24, 0), "begin with an earlier time"),
        (window(3000, 2000), "lists nothing from before"),
    ],
)
def test_where_nothing_is_left_to_compare_it_is_said_why(wanted: Window, reason: str) -> None:
    with pytest.raises(WindowError, match=reason):
        plan(wanted, NOW, reach=30 * DAY, not_yet=GRACE)


def test_a_long_time_is_listed_a_day_at_a_time() -> None:
    parts = plan(window(60, 0), NOW, reach=30 * DAY, not_yet=GRACE).parts()
    assert [each.until - each.since for each in parts] == [DAY, DAY, 12 * HOUR - GRACE]
    assert all(first.until == second.since for first, second in pairwise(parts))


def test_a_scheduled_run_goes_on_where_the_last_one_ended_and_reads_some_of_it_again() -> None:
    assert scheduled(compared(10, 2), NOW, HOUR) == window(3, 0)
    assert scheduled(NOTHING, NOW, HOUR) == window(24, 0)
    assert scheduled(NOTHING, NOW, 72 * HOUR) == window(72, 0)


@pytest.mark.parametrize(
    ("before", "added", "after"),
    [
        (NOTHING, window(5, 1), compared(5, 1)),
        (compared(10, 5), window(6, 1), compared(10, 1)),
        (compared(10, 5), window(5, 1), compared(10, 1)),
        (compared(10, 5), window(12, 9), compared(12, 5)),
        (compared(10, 5), window(9, 6), compared(10, 5)),
        (compared(10, 5), window(4, 1), compared(10, 5)),  # nobody knows what is in between
        (compared(10, 5), window(20, 15), compared(10, 5)),
    ],
)
def test_only_what_was_compared_without_a_gap_counts(before: Compared, added: Window, after: Compared) -> None:
    assert extended(before, added) == after


def test_a_person_may_decide_that_a_gap_does_not_matter() -> None:
    assert extended(compared(10, 5), window(4, 1), over_gaps=True) == compared(4, 1)
