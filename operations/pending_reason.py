"""Why an entry waits, in one sentence. Pure: everything it needs was read before."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from consumers.entry import Entry, Unreadable
from operations.units import duration, printable

REASON_CHARS_MAX = 300
"""How much of an exception's text is shown."""


class Failure(BaseModel):
    """What a worker noted when an entry could not be applied yet."""

    kind: Literal["retry", "infrastructure"]
    reason: str
    at: datetime
    attempt: int
    retry_at: datetime | None
    since: datetime | None = None
    """When an outage of Redis or Postgres was first met, where it is one."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One entry of the pending list, with all that tells why it is there.

    `entry` is None where the stream has it no more. `consumer_lives` tells whether the consumer's slot is leased, None
    for a name that is not one of our workers'. `lock_holder` is the name in the resource's lock, None if it is free.
    """

    entry_id: str
    consumer: str
    consumer_lives: bool | None
    idle_ms: int
    deliveries: int
    entry: Entry | Unreadable | None
    failure: Failure | None
    lock_holder: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The worker's settings that a sentence refers to."""

    claim_idle_ms: int
    max_attempts: int


def why(pending: Pending, limits: Limits, now: datetime) -> str:
    """The sentence. What happens next is in it wherever it is known."""
    if pending.entry is None:
        return "the entry is gone from the stream (incident): somebody deleted or trimmed it before it was committed"
    failure = pending.failure
    if failure and failure.retry_at and failure.retry_at > now:
        return _failed(failure, limits, f"tried again in {duration((failure.retry_at - now).total_seconds() * 1000)}")
    if pending.consumer_lives is False:
        return _sentence(_left_behind(pending, limits), failure, limits)
    return _sentence(_in_hand(pending, limits), failure, limits)


def _left_behind(pending: Pending, limits: Limits) -> str:
    left_ms = limits.claim_idle_ms - pending.idle_ms
    when = f"in {duration(left_ms)}" if left_ms > 0 else "when it looks next, if one runs"
    return f"{pending.consumer} is gone (no slot lease); claimed by another worker {when}"


def _in_hand(pending: Pending, limits: Limits) -> str:
    if pending.lock_holder == pending.consumer:
        return f"in work by {pending.consumer}"
    if pending.lock_holder and isinstance(pending.entry, Entry):
        event = pending.entry.event
        return f"waits for the lock of {event.namespace}:{event.resource} held by {pending.lock_holder}"
    if pending.consumer_lives is None:
        return f"{pending.consumer} is not a worker of ours; claimed by a worker once idle long enough"
    if isinstance(pending.entry, Unreadable):
        return f"read by {pending.consumer}, and not an envelope: {pending.entry.problem}; it goes to the dead letters"
    if pending.idle_ms >= limits.claim_idle_ms:
        return f"{pending.consumer} lives but has not touched it for {duration(pending.idle_ms)}; another may claim it"
    return f"read by {pending.consumer}, not in work yet"


def _sentence(state: str, failure: Failure | None, limits: Limits) -> str:
    return state if failure is None else f"{state}; {_failed(failure, limits, 'due now')}"


def _failed(failure: Failure, limits: Limits, next_try: str) -> str:
    reason = printable(failure.reason)[:REASON_CHARS_MAX]
    if failure.kind == "infrastructure":
        since = f" down since {failure.since:%Y-%m-%d %H:%M:%S} UTC" if failure.since else ""
        return f"infrastructure{since}, not counted as an attempt, {next_try}: {reason}"
    return f"attempt {failure.attempt} of {limits.max_attempts} failed, {next_try}: {reason}"
