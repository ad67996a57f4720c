"""How user handlers are called: one after the other, each with a time limit, all in the one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from consumers.handlers.connection import HandlerConnection, check_usable, commit_guard, ended_error, was_ended
from consumers.handlers.exceptions import HandlerBlockedError, HandlerCancelledError, SlowCallsError
from consumers.handlers.watch import CallWatch, Watched
from consumers.spans import AroundCall
from contract.event import Event
from sql.connect import Connection

CHECKS_PER_TIMEOUT = 10
"""How often, per `timeout_s`, Postgres is asked something between calls that do not use it. After a long silence it
would take the worker for dead and end the transaction."""

SQL_TIME_FACTOR = 40
"""How much longer a call may keep its batch waiting for Postgres than for anything else."""

TICKS_PER_LIMIT = 4
"""How often, per limit, the running call is looked at. A call is slow once it was seen so often: time in which this
process did not run, e.g. because the machine is busy, counts as one tick at most."""


@dataclass(slots=True)  # not frozen, which would take twice as long
class Call:
    """One call of one handler, for one event."""

    name: str
    event: Event
    begin: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How calls are limited: `timeout_s` each. `after_each` is called after each one.

    `is_alone`: the event has its transaction for itself. Otherwise a slow call must not keep the others waiting.
    `is_guarded`: the caller has armed the transaction's guard already, and looks at it afterwards.
    `around_call`: makes the span of a call; None without spans.
    """

    timeout_s: float
    after_each: Callable[[], None]
    watch: CallWatch
    is_alone: bool
    is_guarded: bool = False
    around_call: AroundCall | None = None


async def make_calls(
    connection: Connection, through: HandlerConnection, calls: Sequence[Call], limits: CallLimits
) -> None:
    """Make the calls, in the transaction that `connection` has open, and that handlers see `through`.

    Raise what a handler raises, TransactionEndedError if one has ended the transaction, and SlowCallsError with the
    events that must leave the batch: all that are known to be slow, or the first that turns out to be.
    """
    slow_limit = None
    if not limits.is_alone:
        if known := {id(call.event): call.name for call in calls if limits.watch.is_slow(call.name, call.event)}:
            raise SlowCallsError(known, 0)
        slow_limit = _SlowLimit(through, limits.watch)
    checked_at_s = began_s = time.monotonic()
    async with nullcontext() if limits.is_guarded else commit_guard(connection):
        with slow_limit or nullcontext():
            for call in calls:
                try:
                    await _make_in_transaction(connection, call, limits, slow_limit)
                except _SlowCallError as error:
                    raise SlowCallsError({id(call.event): call.name}, 1) from error
                finally:
                    ended_s = time.monotonic()
                    limits.watch.took(call.name, ended_s - began_s)
                    began_s = ended_s
                limits.after_each()
                if ended_s - checked_at_s > limits.timeout_s / CHECKS_PER_TIMEOUT:
                    await check_usable(connection)
                    checked_at_s = began_s = time.monotonic()


class _SlowCallError(Exception):
    """A call took so long that it was cut off, for the sake of the others."""


class _SlowLimit:
    """Cuts off the running call once it is slow. One timer for all calls: most end long before its first tick."""

    def __init__(self, through: HandlerConnection, watch: CallWatch) -> None:
        self._through = through
        self._tick_s = watch.slow_s / TICKS_PER_LIMIT
        self._loop = asyncio.get_running_loop()
        self._limit: asyncio.Timeout | None = None
        self._ticks = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.was_reached = False

    def begin(self, limit: asyncio.Timeout) -> None:
        """Watch a call, which `limit` ends."""
        self._limit, self._ticks, self.was_reached = limit, 0.0, False

    def end(self) -> None:
        """Watch it no longer."""
        self._limit = None

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        if self._limit is None or self.was_reached:
            return
        self._ticks += 1 / SQL_TIME_FACTOR if self._through.is_in_sql else 1
        if self._ticks >= TICKS_PER_LIMIT:
            self.was_reached = True
            self._limit.reschedule(self._loop.time())

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()


async def _make_in_transaction(
    connection: Connection, call: Call, limits: CallLimits, slow_limit: _SlowLimit | None
) -> None:
    """Make a call. Raise if it has ended the transaction, so that no further handler works outside of it."""
    watched, began_s = Watched(call, limits.watch), 0.0
    if limits.is_alone:
        began_s = time.monotonic()
        limits.watch.begin(call.event, call.name)
    try:
        if limits.around_call is None:
            await _make(call, watched, limits.timeout_s, slow_limit)
        else:
            with limits.around_call(call.name, call.event):
                await _make(call, watched, limits.timeout_s, slow_limit)
    except _SlowCallError:
        limits.watch.note(call.name, call.event, is_slow=True)
        raise
    except Exception as error:
        if watched.blocked_s >= limits.watch.blocked_s:
            raise HandlerBlockedError(call.name, call.event, watched.blocked_s) from error
        if was_ended(connection):
            raise ended_error() from error
        raise
    finally:
        if limits.is_alone:
            limits.watch.end(call.event)
            limits.watch.note(call.name, call.event, is_slow=time.monotonic() - began_s >= limits.watch.slow_s)
    if not limits.is_alone:
        limits.watch.note(call.name, call.event, is_slow=False)
    if was_ended(connection):
        raise ended_error()


async def _make(call: Call, watched: Watched, timeout_s: float, slow_limit: _SlowLimit | None) -> None:
    """Make a call with a time limit. A cancellation that the handler caused becomes HandlerCancelledError."""
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            if slow_limit:
                slow_limit.begin(limit)
            await watched
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise _limit_error(call, timeout_s, slow_limit) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise HandlerCancelledError(f"handler {call.name} was cancelled by something of its own") from error
    except Exception as error:
        if slow_limit and slow_limit.was_reached:  # what came of cutting it off
            raise _SlowCallError from error
        raise
    finally:
        if slow_limit:
            slow_limit.end()
    if limit.expired():  # it caught the cancellation, and went on
        raise _limit_error(call, timeout_s, slow_limit)


def _limit_error(call: Call, timeout_s: float, slow_limit: _SlowLimit | None) -> Exception:
    if slow_limit and slow_limit.was_reached:
        return _SlowCallError()
    return TimeoutError(f"handler {call.name} was ended after {timeout_s:g} s (HANDLER_TIMEOUT_S)")
