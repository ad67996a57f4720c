"""What to do about a failure, as pure functions: judge it, and say how long to wait."""

import random
from dataclasses import dataclass
from typing import Literal

import asyncpg
from pydantic import ValidationError
from redis.exceptions import RedisError

from consumers.handlers import HandlerFailed, Reject, Retry

INFRASTRUCTURE = (RedisError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What Redis, Postgres and the wires to them raise; a time-out is an OSError."""

REASON_CHARS_MAX = 500
"""How much of an error's text is kept as the reason."""

QUARANTINE_AFTER_DELIVERIES = 3
"""Past so many deliveries an entry may be what brings its workers down: it is taken over, and tried, alone."""

DELIVERIES_ALONE_MIN = 2
"""Even where one attempt is allowed: whoever died with others in one batch is tried alone before it is given up."""

Kind = Literal["outage", "conflict", "permanent", "failed"]
"""`outage`: nothing can be applied now, wait. `conflict`: only this transaction, e.g. a deadlock. Neither counts as an
attempt. `permanent`: this event can never be applied. `failed`: it may be, and the attempt counts."""

_OUTAGE_CLASSES = frozenset({
    "08",  # connection
    "0A",  # e.g. cached plan after a migration: a new connection prepares anew
    "25",  # read-only after a failover, idle transaction ended
    "26",  # a prepared statement is gone: a pooler put another server behind the connection
    "28",  # authorization: an operator changed a password
    "3D", "3F", "42",  # no database, no schema, no table or right: not migrated, or migrated away
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "57",  # operator intervention: shutdown, crash, cannot connect now
    "58", "XX",  # system and internal errors
})  # fmt: skip
_CONFLICT_CLASSES = frozenset({"40", "55"})  # serialization failure, deadlock; lock not available
_QUERY_CANCELED = "57014"  # the statement's time limit, not an operator
_BAD_DATA_CLASSES = frozenset({"22", "23"})  # data that Postgres cannot hold, or that breaks a rule of the schema
_OF_POSTGRES_ALONE = frozenset({"08", "26", "53", "57", "58", "XX"})  # cannot be the fault of a handler's own SQL
_STATES_OF_POSTGRES_ALONE = frozenset({"25006", "25P03", "25P04"})  # read-only, idle or too long: ended by the server


@dataclass(frozen=True, slots=True)
class Verdict:
    """What kind of failure it is, in a sentence, and when a handler wants it tried again (None: the usual delay)."""

    kind: Kind
    reason: str
    after_s: float | None = None


def judge(error: Exception) -> Verdict:
    """Tells outages and conflicts, which are nobody's fault, from events that cannot be applied."""
    if isinstance(error, HandlerFailed):
        cause = error.__cause__
        if isinstance(cause, INFRASTRUCTURE) and not error.is_guest:  # the built-in projection's
            return judge(cause)
        return _judge_handler(error)
    if isinstance(error, asyncpg.PostgresError):
        return Verdict(_kind_of(error), describe(error))
    # What is left of our own: no connection, a time-out, Redis; or a bug this event found, which must not stop all.
    return Verdict("outage" if isinstance(error, INFRASTRUCTURE) else "failed", describe(error))


def _judge_handler(failure: HandlerFailed) -> Verdict:
    cause = failure.__cause__
    match cause:
        case Reject():
            return Verdict("permanent", str(cause))
        case Retry():
            return Verdict("failed", str(cause), cause.after_s)
        case ValidationError():
            return Verdict("permanent", describe(cause))
        case asyncpg.PostgresError() if _is_of_postgres_alone(cause.sqlstate or ""):
            return Verdict(_kind_of(cause), describe(cause))
        case asyncpg.DataError():
            return Verdict("permanent", describe(cause))
        case RedisError():
            return Verdict("outage", describe(cause))
    if failure.connection_lost:
        return Verdict("outage", f"Postgres closed the connection: {failure}")
    return Verdict("failed", str(failure))


def _is_of_postgres_alone(sqlstate: str) -> bool:
    return sqlstate[:2] in _OF_POSTGRES_ALONE | _CONFLICT_CLASSES or sqlstate in _STATES_OF_POSTGRES_ALONE


def _kind_of(error: asyncpg.PostgresError) -> Kind:
    sqlstate = error.sqlstate or ""
    if sqlstate == _QUERY_CANCELED or sqlstate[:2] in _CONFLICT_CLASSES:
        return "conflict"
    if sqlstate[:2] in _BAD_DATA_CLASSES:
        return "permanent"
    return "outage" if sqlstate[:2] in _OUTAGE_CLASSES else "failed"


def describe(error: BaseException) -> str:
    """The error in one line, without the data it was about."""
    if isinstance(error, ValidationError):
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:3])
        return f"the body is not what its provider documents: {problems}"
    text = str(error).splitlines()[0][:REASON_CHARS_MAX] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def quarantine_after(attempts_max: int) -> int:
    """The number of deliveries past which an entry is taken over alone: before it could be given up with its mates."""
    return min(QUARANTINE_AFTER_DELIVERIES, max(attempts_max - 2, 0))


def is_poison(deliveries: int, attempts_max: int) -> bool:
    """Whether an entry was delivered so often without an outcome that it is not tried again."""
    return deliveries > max(attempts_max, DELIVERIES_ALONE_MIN)


def delay_s(attempt: int, first_ms: int, longest_ms: int) -> float:
    """The wait after the `attempt`-th failure: doubling, with jitter down to a half, up to a limit."""
    grown_ms = min(longest_ms, first_ms << min(max(attempt - 1, 0), 30))
    return random.uniform(0.5, 1.0) * grown_ms / 1000  # noqa: S311 - jitter, not a secret
