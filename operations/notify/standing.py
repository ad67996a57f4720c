"""What the receiver knows about one kind, and what it is to be sent next: decisions only, nothing is read or sent."""

import random
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from operations.notify.kinds import Found, Kind, message_body

RETRY_S = 15.0
"""The delay before a message is sent again; doubles with each attempt, jittered."""

RETRY_MAX_S = 600.0
"""The longest delay between two attempts."""

ATTEMPTS_MAX = 10
"""Attempts that follow each other, over about an hour; then the message rests until NOTIFY_REPEAT_S has passed."""


@dataclass(frozen=True, slots=True)
class Times:
    """NOTIFY_DELAY_S and NOTIFY_REPEAT_S."""

    delay: timedelta
    repeat: timedelta


@dataclass(frozen=True, slots=True)
class Standing:
    """What was last announced about a kind, and a message that is not delivered yet: a row of `notifications`."""

    announced: bool = False
    announced_at: datetime | None = None
    announced_count: int = 0
    waiting_since: datetime | None = None
    differs_since: datetime | None = None
    message_id: str | None = None
    message: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Return whether there is a message to be sent now."""
        return self.next_attempt_at is not None and self.next_attempt_at <= now


def decide(kind: Kind, standing: Standing, found: Found, now: datetime, times: Times, console_url: str) -> Standing:
    """Return the standing once this was found. A message is made when it begins to wait, ends, or is to be repeated."""
    waits = found.count > 0
    if waits == standing.announced:
        standing = replace(standing, differs_since=None)
        since = standing.waiting_since or now
        if not _is_to_be_repeated(kind, standing, found, now, times):
            return standing
    else:
        since = standing.differs_since or now
        if now - since < times.delay or not (waits or kind.ends):
            return replace(standing, differs_since=since)
        if not waits and standing.message_id and not standing.attempts:
            return Standing(announced_at=now)  # nobody has heard that it waited
    return Standing(
        announced=waits,
        announced_at=now,
        announced_count=found.count,
        waiting_since=since if waits else None,
        message_id=f"msg_{secrets.token_hex(16)}",
        message=message_body(kind, replace(found, oldest_at=found.oldest_at or since), now, console_url),
        next_attempt_at=now,
    )


def _is_to_be_repeated(kind: Kind, standing: Standing, found: Found, now: datetime, times: Times) -> bool:
    if not standing.announced or (standing.announced_at and now - standing.announced_at < times.repeat):
        return False
    return kind.ends or found.count > standing.announced_count


def delivered(standing: Standing) -> Standing:
    """Return the standing once its message was accepted."""
    return replace(standing, message_id=None, message=None, attempts=0, next_attempt_at=None)


def not_delivered(standing: Standing, now: datetime, times: Times, *, is_refused: bool) -> Standing:
    """Return the standing once its message was not accepted: it is sent again, with the same id.

    Soon, and then less and less often; after a refusal, or too many attempts, once NOTIFY_REPEAT_S has passed. By then
    a new message takes its place if it still waits.
    """
    attempts = standing.attempts + 1
    if is_refused or attempts % ATTEMPTS_MAX == 0:
        return replace(standing, attempts=attempts, next_attempt_at=now + times.repeat)
    delay_s = min(RETRY_S * 2 ** (attempts % ATTEMPTS_MAX - 1), RETRY_MAX_S)
    jitter = random.uniform(0.75, 1.0)  # noqa: S311 - so that several installations do not send in step
    return replace(standing, attempts=attempts, next_attempt_at=now + timedelta(seconds=delay_s * jitter))


def merged(kept: Standing, mine: Standing) -> Standing:
    """Return the kept standing with what this program did while it could not be kept."""
    if mine.announced_at and (kept.announced_at is None or mine.announced_at > kept.announced_at):
        return mine
    if kept.message_id and mine.announced_at == kept.announced_at and mine.message_id is None:
        return delivered(kept)
    return kept
