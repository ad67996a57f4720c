"""Failures judged, and how long to wait: pure, so told by tables."""

import ssl

import asyncpg
import pytest
from asyncpg.exceptions import InternalClientError
from pydantic import BaseModel, ValidationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.handlers import HandlerFailed, Reject, Retry
from consumers.handlers.exceptions import RETRY_AFTER_S_MAX, TransactionEndedError
from consumers.retry import (
    QUARANTINE_AFTER_DELIVERIES,
    REASON_CHARS_MAX,
    Kind,
    delay_s,
    describe,
    is_poison,
    judge,
    quarantine_after,
)


class Body(BaseModel):
    amount: int


def sql_error(sqlstate: str, text: str = "what Postgres says") -> asyncpg.PostgresError:
    """As asyncpg makes it of a server's message."""
    return asyncpg.PostgresError.new({"C": sqlstate, "M": text, "S": "ERROR"})


def of_handler(cause: Exception, *, connection_lost: bool = False, is_guest: bool = True) -> HandlerFailed:
    failure = HandlerFailed(cause, connection_lost=connection_lost, is_guest=is_guest)
    failure.__cause__ = cause
    return failure


def not_valid() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Body.model_validate({"amount": "a secret amount"})
    return raised.value


SQLSTATES: list[tuple[str, Kind, Kind]] = [
    # SQLSTATE, of our own statement, of a handler's
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
    ("42501", "outage", "failed"),
    ("53100", "outage", "outage"),  # disk full
    ("53200", "outage", "outage"),
    ("53300", "outage", "outage"),
    ("55P03", "conflict", "conflict"),
    ("57014", "conflict", "conflict"),  # a statement's time limit
    ("57P01", "outage", "outage"),
    ("57P02", "outage", "outage"),
    ("57P03", "outage", "outage"),
    ("58030", "outage", "outage"),
    ("P0001", "failed", "failed"),
    ("XX000", "outage", "outage"),
]


@pytest.mark.parametrize(("sqlstate", "ours", "_"), SQLSTATES)
def test_an_error_of_our_own_sql(sqlstate: str, ours: Kind, _: Kind) -> None:
    assert judge(sql_error(sqlstate)).kind == ours
    assert judge(of_handler(sql_error(sqlstate), is_guest=False)).kind == ours  # the built-in projection's


def test_time_that_runs_out_counts_only_against_a_user_s_handler() -> None:
    assert judge(of_handler(TimeoutError())).kind == "failed"
    assert judge(of_handler(TimeoutError(), is_guest=False)).kind == "outage"


@pytest.mark.parametrize(("sqlstate", "_", "handlers"), SQLSTATES)
def test_an_error_of_a_handlers_sql(sqlstate: str, _: Kind, handlers: Kind) -> None:
    assert judge(of_handler(sql_error(sqlstate))).kind == handlers


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
        (TypeError("a bug that one event found"), "failed"),
        (KeyError("another"), "failed"),
        (asyncpg.DataError("invalid input for query argument $1"), "permanent"),
    ],
)
def test_what_is_not_an_answer_of_postgres(error: Exception, kind: Kind) -> None:
    assert judge(error).kind == kind


@pytest.mark.parametrize(
    ("failure", "kind", "after_s"),
    [
        (of_handler(Reject("never")), "permanent", None),
        (of_handler(Retry("later")), "failed", None),
        (of_handler(Retry("later", after=7.5)), "failed", 7.5),
        (of_handler(not_valid()), "permanent", None),
        (of_handler(RedisTimeoutError("the handler's own Redis")), "outage", None),
        (of_handler(TransactionEndedError("COMMIT")), "failed", None),
        (of_handler(ValueError("a bug")), "failed", None),
        (of_handler(TimeoutError()), "failed", None),
        (of_handler(asyncpg.InterfaceError("another operation is in progress")), "failed", None),
        (of_handler(asyncpg.InterfaceError("closed"), connection_lost=True), "outage", None),
        (of_handler(OSError("the handler's own disk")), "failed", None),
    ],
)
def test_what_a_handler_raises(failure: HandlerFailed, kind: Kind, after_s: float | None) -> None:
    verdict = judge(failure)
    assert (verdict.kind, verdict.after_s) == (kind, after_s)
    assert verdict.reason


@pytest.mark.parametrize("after", [float("nan"), float("inf"), -1, -0.001, RETRY_AFTER_S_MAX + 1, 1e300])
def test_a_retry_at_no_time_is_the_handlers_bug(after: float) -> None:
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
def test_an_error_in_one_line(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_a_body_is_described_without_what_is_in_it() -> None:
    text = describe(not_valid())
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
def test_whoever_died_in_a_crowd_is_tried_alone_before_it_is_given_up(attempts_max: int) -> None:
    """Walks an innocent entry through a crash-looping batch: it must come alone once while it is not hopeless."""
    deliveries, alone = 1, False
    while not alone:
        alone = deliveries > quarantine_after(attempts_max)
        deliveries += 1
    assert not is_poison(deliveries, attempts_max)
    assert quarantine_after(attempts_max) <= QUARANTINE_AFTER_DELIVERIES
    assert is_poison(max(attempts_max, 2) + 1, attempts_max)
