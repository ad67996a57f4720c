"""What becomes of an event once its provider's API was asked: wait and ask again, or decide. Pure functions."""

import random
from dataclasses import dataclass
from typing import Literal

from consumers.retry import Failure
from consumers.settings import Settings

Against = Literal["disagrees", "not_found", "failed"]
"""The states of an event that is not booked."""

AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 300.0
"""The shortest and the longest wait before one event is asked about again."""

AGAIN_PART = 4
"""An event is asked about again after this part of the time since it was recorded: soon at first, then less often."""

CONFLICT_S = 0.2
"""The wait after a lock that somebody else held."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """Ask again after `wait_s`. `is_answer`: the API has answered, so that the time it has runs from now."""

    wait_s: float
    reason: str
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class DecideAgainst:
    """Book nothing, and say why."""

    state: Against
    reason: str


Decision = PutOff | DecideAgainst


def again_s(age_s: float) -> float:
    """Return how long to wait before one event is asked about again, jittered down to a half."""
    wait_s = min(max(age_s / AGAIN_PART, AGAIN_S_MIN), AGAIN_S_MAX)
    return wait_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def without_payload() -> DecideAgainst:
    """Decide about an event that says nothing any more that could be asked about."""
    return DecideAgainst("failed", "its payload is not kept any more, so that nothing can be asked")


def after_no_answer(reason: str, age_s: float) -> PutOff:
    """Decide about an event of which the API could not say anything: an outage counts nothing, however long it is."""
    return PutOff(again_s(age_s), reason)


def after_not_found(reason: str, age_s: float, since_first_answer_s: float | None, settings: Settings) -> Decision:
    """Decide about an object that the API does not know: it may know it later, as APIs lag behind their webhooks."""
    if (since_first_answer_s or 0.0) >= settings.confirm_not_found_s:
        return DecideAgainst("not_found", reason)
    return PutOff(again_s(age_s), reason, is_answer=True)


def after_unusable(reason: str, age_s: float, since_first_answer_s: float | None, settings: Settings) -> Decision:
    """Decide about an answer that is not what the provider documents."""
    if (since_first_answer_s or 0.0) >= settings.confirm_not_found_s:
        return DecideAgainst("failed", reason)
    return PutOff(again_s(age_s), reason, is_answer=True)


def after_disagreement(reason: str, age_s: float, since_first_answer_s: float | None, settings: Settings) -> Decision:
    """Decide about an answer that disagrees with the event: it may be older than the event for a while."""
    if (since_first_answer_s or 0.0) >= settings.confirm_lag_s:
        return DecideAgainst("disagrees", reason)
    return PutOff(again_s(age_s), reason, is_answer=True)


def after_failed_booking(failure: Failure, tries: int, age_s: float, settings: Settings) -> Decision:
    """Decide about an event that is confirmed and could not be booked."""
    if failure.kind == "permanent" or (failure.kind == "failed" and tries + 1 >= settings.max_attempts):
        return DecideAgainst("failed", failure.reason)
    if failure.kind == "conflict":
        return PutOff(CONFLICT_S * random.uniform(0.5, 1.5), failure.reason)  # noqa: S311 - jitter
    wait_s = again_s(age_s) if failure.after_s is None else failure.after_s
    return PutOff(wait_s, failure.reason, is_answer=failure.kind == "failed")
