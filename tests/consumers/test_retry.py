"""The decisions about failures, as tables: pure functions, so no server is needed."""

import random
import ssl

import asyncpg
import pytest
from asyncpg.exceptions import InternalClientError
from pydantic import BaseModel, ValidationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.entry import Entry, Unreadable
from consumers.handlers import HandlerFailed, Reject, Retry
from consumers.handlers.exceptions import RETRY_AFTER_S_MAX, SlowCallsError, TransactionEndedError
from consumers.notes import NO_PAST
from consumers.retry import (
    QUARANTINE_AFTER_ATTEMPTS,
    REASON_CHARS_MAX,
    DeadLetter,
    Decision,
    FailureKind,
    RetryLater,
    SplitBatch,
    WaitOut,
    cause_of_type,
    classify,
    decide,
    decide_before_attempt,
    delay_s,
    describe,
    is_used_up,
    outage_cause,
    quarantine_after,
)
from contract.event import EnvelopeError
from tests.support.events import contract_event
from tests.support.stream_states import settings_for


class Body(BaseModel):
    amount: int


def sql_error(sqlstate: str, text: str = "what Postgres says") -> asyncpg.PostgresError:
    """Return the error that asyncpg makes of a server's message."""
    return asyncpg.PostgresError.new({"C": sqlstate, "M": text, "S": "ERROR"})


def from_handler(cause: Exception, *, connection_lost: bool = False, is_user_handler: bool = True) -> HandlerFailed:
    failure = HandlerFailed(cause, connection_lost=connection_lost, is_user_handler=is_user_handler)
    failure.__cause__ = cause
    return failure


def validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Body.model_validate({"amount": "a secret amount"})
    return raised.value


SQLSTATES: list[tuple[str, FailureKind, FailureKind]] = [
    # SQLSTATE, in the worker's own statement, in a handler's
    ("08000", "outage", "outage"),
    ("08006", "outage", "outage"),
    ("0A000", "outage", "failed"),
    ("22001", "permanent", "permanent"),
    ("22P02", "permanent", "permanent"),
    ("23505", "permanent", "failed"),
    ("23514", "permanent", "failed"),
    ("25001", "outage", "failed"),  # VACUUM in a transaction
    ("25006", "outage", "outage"),  # read-only after a failover
    ("25P02", "outage", "failed"),  # went on in a failed transaction
    ("25P03", "outage", "outage"),  # idle in transaction, ended by the server
    ("26000", "outage", "outage"),
    ("28P01", "outage", "failed"),
    ("3D000", "outage", "failed"),
    ("3F000", "outage", "failed"),
    ("40001", "conflict", "conflict"),
    ("40P01", "conflict", "conflict"),
    ("42P01", "outage", "failed"),  # not migrated
    ("42501", "outage", "conflict"),
    ("53100", "outage", "outage"),  # disk full
    ("53200", "outage", "outage"),
    ("53300", "outage", "outage"),
    ("55000", "outage", "failed"),  # the database takes no connections
    ("55006", "conflict", "conflict"),
    ("55P03", "conflict", "conflict"),
    ("57014", "conflict", "conflict"),  # a statement's time limit
    ("57P01", "outage", "outage"),
    ("57P02", "outage", "outage"),
    ("57P03", "outage", "outage"),
    ("58030", "outage", "outage"),
    ("P0001", "failed", "failed"),
    ("XX000", "outage", "outage"),
]


@pytest.mark.parametrize(("sqlstate", "kind", "_"), SQLSTATES)
def test_an_error_in_the_worker_s_own_sql(sqlstate: str, kind: FailureKind, _: FailureKind) -> None:
    assert classify(sql_error(sqlstate)).kind == kind
    assert classify(from_handler(sql_error(sqlstate), is_user_handler=False)).kind == kind  # the built-in projection


def test_a_timeout_counts_as_an_attempt_only_in_a_user_s_handler() -> None:
    assert classify(from_handler(TimeoutError())).kind == "failed"
    assert classify(from_handler(TimeoutError(), is_user_handler=False)).kind == "outage"


@pytest.mark.parametrize(("sqlstate", "_", "kind"), SQLSTATES)
def test_an_error_in_a_handler_s_sql(sqlstate: str, _: FailureKind, kind: FailureKind) -> None:
    assert classify(from_handler(sql_error(sqlstate))).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "outage"),
        (ConnectionRefusedError(111, "refused"), "outage"),
        (ssl.SSLError("bad record"), "outage"),
        (asyncpg.InterfaceError("the connection is closed"), "outage"),
        (InternalClientError("unexpected state"), "outage"),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"), "outage"),
        (asyncpg.TooManyConnectionsError("too many"), "outage"),
        (RedisConnectionError("refused"), "outage"),
        (TypeError("a bug that one event triggered"), "failed"),
        (KeyError("another"), "failed"),
        (asyncpg.DataError("invalid input for query argument $1"), "permanent"),
    ],
)
def test_an_error_that_postgres_did_not_send(error: Exception, kind: FailureKind) -> None:
    assert classify(error).kind == kind


@pytest.mark.parametrize(
    ("failure", "kind", "after_s"),
    [
        (from_handler(Reject("never")), "permanent", None),
        (from_handler(Retry("later")), "failed", None),
        (from_handler(Retry("later", after=7.5)), "failed", 7.5),
        (from_handler(validation_error()), "permanent", None),
        (from_handler(RedisTimeoutError("the handler's own Redis")), "outage", None),
        (from_handler(TransactionEndedError("COMMIT")), "failed", None),
        (from_handler(ValueError("a bug")), "failed", None),
        (from_handler(TimeoutError()), "failed", None),
        (from_handler(asyncpg.InterfaceError("another operation is in progress")), "failed", None),
        (from_handler(asyncpg.InterfaceError("closed"), connection_lost=True), "outage", None),
        (from_handler(OSError("the handler's own disk")), "failed", None),
    ],
)
def test_an_error_that_a_handler_raises(failure: HandlerFailed, kind: FailureKind, after_s: float | None) -> None:
    classified = classify(failure)
    assert (classified.kind, classified.after_s) == (kind, after_s)
    assert classified.reason


POISONED = from_handler(ValueError("a bug"))


@pytest.mark.parametrize(
    ("error", "attempt", "batch_size", "decision"),
    [
        # An outage interrupts every batch, and never counts.
        (RedisConnectionError("refused"), 1, 1, WaitOut("ConnectionError: refused")),
        (RedisConnectionError("refused"), 99, 500, WaitOut("ConnectionError: refused")),
        (sql_error("57P01"), 99, 1, WaitOut("AdminShutdownError: what Postgres says")),
        # Anything else in a batch is found by trying its entries one by one.
        (POISONED, 1, 2, SplitBatch("ValueError: a bug")),
        (POISONED, 99, 2, SplitBatch("ValueError: a bug")),
        (from_handler(Reject("never")), 1, 2, SplitBatch("never")),
        (sql_error("40P01"), 1, 2, SplitBatch("DeadlockDetectedError: what Postgres says")),
        # A single entry that failed is tried again until its last attempt.
        (POISONED, 1, 1, RetryLater(0.1, True, "failed", "ValueError: a bug")),
        (POISONED, 2, 1, RetryLater(0.2, True, "failed", "ValueError: a bug")),
        (POISONED, 4, 1, RetryLater(0.5, True, "failed", "ValueError: a bug")),
        (POISONED, 5, 1, DeadLetter("attempt 5 of 5 failed: ValueError: a bug")),
        (POISONED, 6, 1, DeadLetter("attempt 6 of 5 failed: ValueError: a bug")),
        # A handler chooses its own delay, but not more attempts.
        (from_handler(Retry("later", after=7.5)), 1, 1, RetryLater(7.5, True, "failed", "later")),
        (from_handler(Retry("now", after=0)), 1, 1, RetryLater(0, True, "failed", "now")),
        (from_handler(Retry("later", after=7.5)), 5, 1, DeadLetter("attempt 5 of 5 failed: later")),
        # A conflict is tried again for ever, because no event caused it.
        (sql_error("40P01"), 1, 1, RetryLater(0.1, False, "conflict", "DeadlockDetectedError: what Postgres says")),
        (sql_error("40P01"), 99, 1, RetryLater(0.5, False, "conflict", "DeadlockDetectedError: what Postgres says")),
        # An event that can never be applied is not tried again.
        (from_handler(Reject("never")), 1, 1, DeadLetter("never")),
    ],
)
def test_the_decision_about_a_failed_transaction(
    error: Exception, attempt: int, batch_size: int, decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    limits = {"max_attempts": 5, "retry_delay_ms": 100, "retry_delay_max_ms": 500}
    settings = settings_for("redis://x", "postgresql://x", "test", **limits)
    assert decide(error, attempt, batch_size, settings) == decision


EVENT = contract_event()


@pytest.mark.parametrize(
    ("entry", "decision"),
    [
        (Entry("1-1", 1, EVENT, {}), None),
        (Entry("1-1", 5, EVENT, {}), None),
        (
            Entry("1-1", 6, EVENT, {}, NO_PAST.with_error(1, "ValueError: no", "Trace…").with_death(5)),
            DeadLetter(
                "5 attempts without success: 1 ended without an outcome, because their worker died or was stopped while"
                " it worked on this event, the last one too; the last error was: ValueError: no"
            ),
        ),
        (
            Entry("1-1", 9, EVENT, {}, NO_PAST.with_death(1).with_error(8, "ValueError: no", "Trace…")),
            DeadLetter("attempt 8 failed, and MAX_ATTEMPTS is 5 now: ValueError: no"),
        ),
        (Unreadable("1-1", 1, EnvelopeError("no version"), {}), DeadLetter("no version")),
    ],
)
def test_the_decision_about_an_entry_before_it_is_tried(entry: Entry | Unreadable, decision: Decision | None) -> None:
    assert decide_before_attempt(entry, 5) == decision


@pytest.mark.parametrize("after", [float("nan"), float("inf"), -1, -0.001, RETRY_AFTER_S_MAX + 1, 1e300])
def test_a_retry_at_an_impossible_time_is_the_handler_s_bug(after: float) -> None:
    with pytest.raises(ValueError, match="is not between 0"):
        Retry("later", after=after)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (ValueError(), "ValueError"),
        (ValueError("\n"), "ValueError"),
        (TimeoutError(), "TimeoutError"),
        (ReadOnlyError("You can't write"), "ReadOnlyError: You can't write"),
        (ResponseError("NOGROUP No such key"), "ResponseError: NOGROUP No such key"),
        (ValueError("x" * 100_000), f"ValueError: {'x' * REASON_CHARS_MAX}"),
    ],
)
def test_an_error_is_described_in_one_line(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_an_invalid_body_is_described_without_its_data() -> None:
    text = describe(validation_error())
    assert "amount" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("attempt", "longest_wait_ms"), [(1, 100), (2, 200), (3, 400), (5, 1600), (7, 5000), (99, 5000)]
)
def test_delays_grow_up_to_a_limit(attempt: int, longest_wait_ms: int) -> None:
    delays = [delay_s(attempt, 100, 5000) * 1000 for _ in range(200)]
    assert longest_wait_ms / 2 <= min(delays)
    assert max(delays) <= longest_wait_ms
    assert max(delays) - min(delays) > longest_wait_ms / 10, "no jitter"


@pytest.mark.parametrize("attempt", [0, -1, 10**9])
def test_an_odd_attempt_has_a_delay(attempt: int) -> None:
    assert 0 < delay_s(attempt, 1, 300_000) <= 300


@pytest.mark.parametrize("attempts_max", [1, 2, 3, 4, 10])
def test_an_entry_is_tried_alone_before_it_counts_as_poison(attempts_max: int) -> None:
    """A healthy entry in a batch that kills its workers: it must be tried alone once before it counts as poison."""
    attempt, alone = 1, False
    while not alone:
        alone = attempt > quarantine_after(attempts_max)
        attempt += 1
    assert not is_used_up(attempt, attempts_max)
    assert quarantine_after(attempts_max) <= QUARANTINE_AFTER_ATTEMPTS
    assert is_used_up(max(attempts_max, 2) + 1, attempts_max)


def test_what_ended_a_connection_is_the_reason_of_an_outage() -> None:
    """asyncpg raises another error where a transaction is left after its connection was lost."""
    ended = asyncpg.AdminShutdownError("terminating connection due to administrator command")
    hidden = asyncpg.InterfaceError("cannot call Transaction.__aexit__(): the underlying connection is closed")
    hidden.__context__ = ended
    assert outage_cause(hidden) is ended
    alone = asyncpg.InterfaceError("the pool is closing")
    assert outage_cause(alone) is alone
    assert outage_cause(TimeoutError()).__class__ is TimeoutError


@pytest.mark.parametrize("kind", [SlowCallsError, asyncpg.PostgresError])
def test_a_chain_of_errors_that_leads_back_to_itself_ends(kind: type[Exception]) -> None:
    """As after `raise error from error`, which a handler may do."""
    error, other = ValueError("one"), ValueError("other")
    error.__cause__ = error
    assert cause_of_type(error, kind) is None
    error.__cause__, other.__context__ = other, error
    assert cause_of_type(error, kind) is None
    assert cause_of_type(error, ValueError) is error
