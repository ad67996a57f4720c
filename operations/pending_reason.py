"""The reason why a pending entry waits, in one sentence. Pure: the caller has read everything it needs."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from consumers.entry import Entry, Unreadable
from consumers.settings import Settings
from operations.units import duration, printable

STRANDED = (
    "it was read, and no worker has it: somebody ran XGROUP DELCONSUMER, SETID, DESTROY or XACK; a worker takes it "
    "when it looks next, if one runs"
)
"""Why an entry waits that is in the stream, was read, and is in nobody's pending list."""

REASON_CHARS_SHOWN = 300
"""Characters shown of an exception's text."""


class RecordedFailure(BaseModel):
    """The note that a worker leaves in Redis when an entry could not be applied yet."""

    kind: Literal["retry", "infrastructure", "running"]
    reason: str
    at: datetime
    attempt: int
    retry_at: datetime | None
    since: datetime | None = None
    """Start of the outage of Redis or Postgres, or of the attempt that runs; None for other failures."""


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """One entry of the pending list, with everything that explains why it is there.

    `entry` is None if the stream no longer has it. `consumer_lives`: the consumer's slot is leased; None if the name is
    not a worker's. `lock_holder` is the consumer that holds the payment's lock, None if the lock is free.
    """

    entry_id: str
    consumer: str
    consumer_lives: bool | None
    idle_ms: int
    deliveries: int
    entry: Entry | Unreadable | None
    failure: RecordedFailure | None
    lock_holder: str | None


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The two worker settings that the sentences mention."""

    claim_idle_ms: int
    max_attempts: int

    @classmethod
    def of(cls, settings: Settings) -> "WorkerLimits":
        """Take them from a worker's settings."""
        return cls(settings.claim_idle_ms, settings.max_attempts)


def pending_reason(pending: PendingEntry, limits: WorkerLimits, now: datetime) -> str:
    """Return the sentence. It includes what happens next wherever that is known."""
    if pending.entry is None:
        return "the entry is gone from the stream (incident): it was deleted or trimmed before it was committed"
    failure = pending.failure
    if failure and failure.retry_at and failure.retry_at > now:
        wait = duration((failure.retry_at - now).total_seconds() * 1000)
        return _failure_sentence(failure, limits, f"tried again in {wait}")
    state = _abandoned(pending, limits) if pending.consumer_lives is False else _in_flight(pending, limits)
    if failure and failure.kind == "running":
        running = duration((now - (failure.since or failure.at)).total_seconds() * 1000)
        return f"{state}; {printable(failure.reason)[:REASON_CHARS_SHOWN]} for {running}"
    return f"{state}; {_failure_sentence(failure, limits, 'due now')}" if failure else state


class PendingKind(StrEnum):
    """Why entries wait, in a few words: what a list groups them by."""

    GONE = "gone from the stream"
    RETRY_LATER = "failed, tried again later"
    OUTAGE = "a server is down"
    OWNER_GONE = "its worker is gone"
    NOT_OURS = "held by a name that is not a worker's"
    UNREADABLE = "not an envelope"
    IN_WORK = "in work"
    LOCKED = "its payment is in work elsewhere"
    READ = "read, not in work yet"


def pending_kind(pending: PendingEntry, now: datetime) -> PendingKind:
    """Return the kind of reason for which an entry waits. `pending_reason` has the whole sentence."""
    failure = pending.failure
    if pending.entry is None:
        return PendingKind.GONE
    if failure and failure.retry_at and failure.retry_at > now:
        return PendingKind.OUTAGE if failure.kind == "infrastructure" else PendingKind.RETRY_LATER
    if pending.consumer_lives is False:
        return PendingKind.OWNER_GONE
    if pending.lock_holder:
        return PendingKind.IN_WORK if pending.lock_holder == pending.consumer else PendingKind.LOCKED
    if pending.consumer_lives is None:
        return PendingKind.NOT_OURS
    return PendingKind.UNREADABLE if isinstance(pending.entry, Unreadable) else PendingKind.READ


def _abandoned(pending: PendingEntry, limits: WorkerLimits) -> str:
    left_ms = limits.claim_idle_ms - pending.idle_ms
    when = f"in {duration(left_ms)}" if left_ms > 0 else "when it looks next, if one runs"
    return f"{pending.consumer} is gone (no slot lease); claimed by another worker {when}"


def _in_flight(pending: PendingEntry, limits: WorkerLimits) -> str:
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


def _failure_sentence(failure: RecordedFailure, limits: WorkerLimits, next_try: str) -> str:
    reason = printable(failure.reason)[:REASON_CHARS_SHOWN]
    if failure.kind == "infrastructure":
        since = f" down since {failure.since:%Y-%m-%d %H:%M:%S} UTC" if failure.since else ""
        return f"infrastructure{since}, not counted as an attempt, {next_try}: {reason}"
    return f"attempt {failure.attempt} of {limits.max_attempts} failed, {next_try}: {reason}"
