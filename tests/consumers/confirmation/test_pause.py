"""An API that cannot answer, or refuses the credentials, is left alone for a while; one object is not the API."""

import pytest

from consumers.confirmation.decisions import AGAIN_S_MAX, DecideAgainst, PutOff, after_failed_booking, again_s
from consumers.confirmation.pause import FAILURES_MIN, PAUSE_S_MAX, REFUSED_S, Pause
from consumers.retry import Failure
from consumers.settings import Settings


class Clock:
    """Time that passes when a test moves it on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pause(clock: Clock) -> Pause:
    return Pause(clock)


def test_an_object_that_fails_alone_stops_no_other(pause: Pause) -> None:
    for _ in range(20):
        pause.failed(None)
        assert not pause.left_s
        pause.answered()
    assert not pause.is_trying


def test_an_outage_pauses_longer_and_longer_and_ends_with_an_answer(pause: Pause, clock: Clock) -> None:
    for _ in range(FAILURES_MIN):
        pause.failed(None)
    lengths = [pause.left_s]
    while len(lengths) < 8:
        clock.now_s += pause.left_s
        assert pause.is_trying
        pause.failed(None)
        lengths.append(pause.left_s)
    assert lengths == [1, 2, 4, 8, 16, PAUSE_S_MAX, PAUSE_S_MAX, PAUSE_S_MAX]
    pause.answered()
    assert (pause.left_s, pause.is_trying) == (0, False)


def test_answers_that_fail_during_a_pause_do_not_lengthen_it(pause: Pause) -> None:
    for _ in range(50):
        pause.failed(None)
    assert pause.left_s == 1


def test_a_wait_that_the_api_asks_for_is_kept_at_once_and_has_a_limit(pause: Pause, clock: Clock) -> None:
    pause.failed(7)
    assert pause.left_s == 7
    clock.now_s += 7
    pause.failed(10**9)
    assert pause.left_s == 3600


def test_refused_credentials_are_tried_again_after_minutes_and_are_new_once(pause: Pause, clock: Clock) -> None:
    assert pause.refused(401)
    assert pause.left_s == REFUSED_S
    clock.now_s += REFUSED_S
    assert pause.is_trying
    assert not pause.refused(401)
    assert pause.left_s == REFUSED_S
    pause.answered()
    assert pause.refused(401)


def test_one_forbidden_object_is_not_the_credentials_and_several_in_a_row_are(pause: Pause) -> None:
    for _ in range(10):
        assert not pause.refused(403)
        pause.answered()
    assert [pause.refused(403) for _ in range(FAILURES_MIN)] == [False] * (FAILURES_MIN - 1) + [True]
    assert pause.left_s == REFUSED_S


def test_an_event_is_asked_about_soon_at_first_and_then_less_often() -> None:
    assert 0.5 <= again_s(0) <= 1
    assert 12.5 <= again_s(100) <= 25
    assert AGAIN_S_MAX / 2 <= again_s(10**9) <= AGAIN_S_MAX


def test_a_booking_that_cannot_be_made_is_decided_and_one_that_may_be_is_tried_again(settings: Settings) -> None:
    permanent = after_failed_booking(Failure("permanent", "refused"), 0, 0, settings)
    assert permanent == DecideAgainst("failed", "refused")
    again = after_failed_booking(Failure("failed", "a handler"), settings.max_attempts - 2, 0, settings)
    assert isinstance(again, PutOff)
    assert again.is_answer
    assert after_failed_booking(Failure("failed", "a handler"), settings.max_attempts - 1, 0, settings) == (
        DecideAgainst("failed", "a handler")
    )
    conflict = after_failed_booking(Failure("conflict", "a lock"), 10**6, 0, settings)
    assert isinstance(conflict, PutOff)
    assert (conflict.is_answer, conflict.wait_s < 1) == (False, True)
    asked = after_failed_booking(Failure("failed", "later", after_s=77), 0, 0, settings)
    assert isinstance(asked, PutOff)
    assert asked.wait_s == 77
