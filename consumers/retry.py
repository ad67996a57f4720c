"""Decisions about entries that could not be applied: retry, wait, or dead-letter. Pure functions."""

import random
from dataclasses import dataclass
from typing import Literal, TypeVar

import asyncpg
from pydantic import ValidationError
from redis.exceptions import RedisError

from consumers.entry import Entry, Unreadable
from consumers.handlers import HandlerFailed, Reject, Retry
from consumers.handlers.exceptions import HandlerBlockedError
from consumers.notes import Past
from consumers.settings import Settings
from sql.pooler import PoolerError

INFRASTRUCTURE = (RedisError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""The errors that Redis, Postgres and the connections to them raise. A TimeoutError is an OSError."""

REASON_CHARS_MAX = 500
"""How much of an error's text is kept as the reason."""

QUARANTINE_AFTER_ATTEMPTS = 3
"""Once more attempts than this ended with their worker, an entry is processed alone, so that a poison message cannot
take healthy ones to the dead letters."""

ATTEMPTS_MIN = 2
"""The attempts every entry gets, even where one is allowed: the first may have ended because of another entry in the
same batch."""

BLOCKED_DELAY_FACTOR = 10
"""The retry of an event whose handler blocked a worker waits this many times as long as the worker was blocked."""

SomeError = TypeVar("SomeError", bound=BaseException)

FailureKind = Literal["outage", "conflict", "permanent", "failed"]
"""`outage`: nothing can be applied now. `conflict`: only this transaction failed, e.g. by a deadlock. Neither counts as
an attempt. `permanent`: this event can never be applied. `failed`: a retry may succeed, and the attempt counts."""

_OUTAGE_CLASSES = frozenset({
    "08",  # connection
    "0A",  # e.g. cached plan after a migration: a new connection prepares anew
    "25",  # read-only after a failover, idle transaction ended
    "26",  # a prepared statement is gone: a pooler put another server behind the connection
    "28",  # authorization: an operator changed a password
    "3D", "3F", "42",  # no database, no schema, no table or right: not migrated, or migrated away
    "55",  # the database takes no connections, unless a state below says that only this transaction failed
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "57",  # operator intervention: shutdown, crash, cannot connect now
    "58", "XX",  # system and internal errors
})  # fmt: skip
_CONFLICT_CLASS = "40"  # serialization failure, deadlock
_CONFLICT_STATES = frozenset({"55006", "55P03", "57014"})  # in use; lock not available; the statement's time limit
_BAD_DATA_CLASSES = frozenset({"22", "23"})  # data that Postgres cannot hold, or that breaks a rule of the schema
_SERVER_ONLY_CLASSES = frozenset({"08", "26", "53", "57", "58", "XX"})  # cannot be the fault of a handler's own SQL
_SERVER_ONLY_STATES = frozenset({"25006", "25P03", "25P04"})  # read-only, idle or too long: ended by the server


@dataclass(frozen=True, slots=True)
class WaitOut:
    """Redis or Postgres cannot work: keep everything in flight, count no attempt, and try again later."""

    reason: str


@dataclass(frozen=True, slots=True)
class SplitBatch:
    """A transaction of several entries failed: apply each of them alone, so that none holds back another."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try the entry again after `wait_s`. `counts`: the next try is another attempt of MAX_ATTEMPTS."""

    wait_s: float
    counts: bool
    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Write the entry to the dead letters, with the reason."""

    reason: str


Decision = WaitOut | SplitBatch | RetryLater | DeadLetter


@dataclass(frozen=True, slots=True)
class Failure:
    """The kind of a failure, its reason as a sentence, and the delay a handler asked for (None: the usual one)."""

    kind: FailureKind
    reason: str
    after_s: float | None = None


def decide(error: Exception, attempt: int, batch_size: int, settings: Settings, waits: int = 0) -> Decision:
    """Decide what to do about `batch_size` entries whose transaction failed. `attempt` is that of a single entry.

    `waits`: how often in a row an attempt of it has ended without counting.
    """
    failure = classify(error)
    if failure.kind == "outage":
        return WaitOut(failure.reason)
    if batch_size > 1:
        return SplitBatch(failure.reason)
    if failure.kind == "permanent":
        return DeadLetter(failure.reason)
    counts = failure.kind == "failed"
    if counts and attempt >= settings.max_attempts:
        return DeadLetter(f"attempt {attempt} of {settings.max_attempts} failed: {failure.reason}")
    wait_s = failure.after_s
    if wait_s is None:
        wait_s = delay_s(attempt + waits, settings.retry_delay_ms, settings.retry_delay_max_ms)
    return RetryLater(wait_s, counts, failure.kind, failure.reason)


def decide_before_attempt(entry: Entry | Unreadable, attempts_max: int) -> DeadLetter | None:
    """Decide about an entry before it is tried: dead-letter what cannot be decoded, and poison messages."""
    if isinstance(entry, Unreadable):
        return DeadLetter(str(entry.problem))
    if is_used_up(entry.attempt, attempts_max):
        return DeadLetter(_why_used_up(entry.past, attempts_max))
    return None


def is_used_up(attempt: int, attempts_max: int) -> bool:
    """Return whether the attempts before have used up those allowed."""
    return attempt > max(attempts_max, ATTEMPTS_MIN)


def _why_used_up(past: Past, attempts_max: int) -> str:
    """Return why no attempt is left before the entry is tried: its workers died, or fewer are allowed than before."""
    if not past.died_last:
        return f"attempt {past.failed} failed, and MAX_ATTEMPTS is {attempts_max} now: {past.error}"
    error = f"; the last error was: {past.error}" if past.error else ""
    return (
        f"{past.failed} attempts without success: {past.deaths} ended without an outcome, because their worker died or"
        f" was stopped while it worked on this event, the last one too{error}"
    )


def quarantine_after(attempts_max: int) -> int:
    """Return the attempt that ended with its worker after which an entry is reclaimed alone: it gets one try alone."""
    return min(QUARANTINE_AFTER_ATTEMPTS, max(attempts_max - 2, 0))


def delay_s(attempt: int, first_ms: int, longest_ms: int) -> float:
    """Return the wait after the `attempt`-th failure: it doubles up to a limit, with jitter down to a half."""
    grown_ms = min(longest_ms, first_ms << min(max(attempt - 1, 0), 30))
    return random.uniform(0.5, 1.0) * grown_ms / 1000  # noqa: S311 - jitter, not a secret


def classify(error: Exception) -> Failure:
    """Separate outages and conflicts, which no event caused, from events that cannot be applied."""
    if isinstance(error, HandlerFailed):
        cause = error.__cause__
        if isinstance(cause, INFRASTRUCTURE) and not error.is_user_handler:  # raised by the built-in projection
            return classify(cause)
        return _classify_handler_failure(error)
    if isinstance(error, HandlerBlockedError):
        return Failure("failed", str(error), error.blocked_s * BLOCKED_DELAY_FACTOR)
    if isinstance(error, asyncpg.PostgresError):
        return Failure(_kind_of(error), describe(error))
    # Everything else: connection errors and timeouts are outages; any other exception is a bug that this event
    # triggered, so only this event fails.
    return Failure("outage" if isinstance(error, INFRASTRUCTURE) else "failed", describe(error))


def cause_of_type(error: BaseException, kind: type[SomeError]) -> SomeError | None:
    """Return the first such error among an error, its causes and its contexts.

    A lost connection hides what happened before it: leaving the transaction raises, too. A chain may lead back to
    itself, as after `raise error from error`.
    """
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, kind):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def outage_cause(error: Exception) -> BaseException:
    """Return the error that says why: the server's own one, where leaving a lost connection's transaction hides it."""
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and not isinstance(error, PoolerError):
        return cause_of_type(error, asyncpg.PostgresError) or error
    return error


def is_conflict(error: Exception) -> bool:
    """Return whether only the transaction failed, e.g. because another session holds a lock."""
    return classify(error).kind == "conflict"


def _classify_handler_failure(failure: HandlerFailed) -> Failure:
    cause = failure.__cause__
    match cause:
        case Reject():
            return Failure("permanent", str(cause))
        case Retry():
            return Failure("failed", str(cause), cause.after_s)
        case ValidationError() | asyncpg.DataError():
            return Failure("permanent", describe(cause))
        case asyncpg.PostgresError() if _is_server_only(cause.sqlstate or ""):
            return Failure(_kind_of(cause), describe(cause))
        case asyncpg.InsufficientPrivilegeError():  # granted later, it heals: this event waits, and holds back no other
            return Failure("conflict", describe(cause))
        case RedisError():
            return Failure("outage", describe(cause))
    if failure.connection_lost:
        return Failure("outage", f"Postgres closed the connection: {failure}")
    return Failure("failed", str(failure))


def _is_server_only(sqlstate: str) -> bool:
    return sqlstate[:2] in _SERVER_ONLY_CLASSES or sqlstate in _SERVER_ONLY_STATES or _is_conflict(sqlstate)


def _is_conflict(sqlstate: str) -> bool:
    return sqlstate.startswith(_CONFLICT_CLASS) or sqlstate in _CONFLICT_STATES


def _kind_of(error: asyncpg.PostgresError) -> FailureKind:
    sqlstate = error.sqlstate or ""
    if _is_conflict(sqlstate):
        return "conflict"
    if sqlstate[:2] in _BAD_DATA_CLASSES:
        return "permanent"
    return "outage" if sqlstate[:2] in _OUTAGE_CLASSES else "failed"


def describe(error: BaseException) -> str:
    """Return the error in one line, without the data that caused it."""
    if isinstance(error, ValidationError):
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:3])
        return f"the body is not what its provider documents: {problems}"
    text = str(error).splitlines()[0][:REASON_CHARS_MAX] if str(error) else ""
    if isinstance(error, asyncpg.InternalClientError):  # asyncpg has no better name for it
        return f"the connection to Postgres was lost during a statement ({text})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
