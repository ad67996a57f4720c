"""How user handlers are called: one after the other, each with a time limit, all in the one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from consumers.handlers.connection import check_usable, commit_guard, ended_error, was_ended
from consumers.handlers.exceptions import HandlerCancelledError
from sql.connect import Connection

CHECKS_PER_TIMEOUT = 10
"""How often, per `timeout_s`, Postgres is asked something between calls that do not use it. After a long silence it
would take the worker for dead and end the transaction."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one handler."""

    name: str
    begin: Callable[[], Awaitable[None]]


async def make_calls(
    connection: Connection, calls: Sequence[Call], timeout_s: float, after_each: Callable[[], None]
) -> None:
    """Make the calls, each with the limit `timeout_s`. `after_each` is called after each one.

    Raise what a handler raises, and TransactionEndedError if one has ended the transaction.
    """
    checked_at_s = time.monotonic()
    async with commit_guard(connection):
        for call in calls:
            await _make_in_transaction(connection, call, timeout_s)
            after_each()
            if time.monotonic() - checked_at_s > timeout_s / CHECKS_PER_TIMEOUT:
                await check_usable(connection)
                checked_at_s = time.monotonic()


async def _make_in_transaction(connection: Connection, call: Call, timeout_s: float) -> None:
    """Make a call. Raise if it has ended the transaction, so that no further handler works outside of it."""
    try:
        await _make(call, timeout_s)
    except Exception as error:
        if was_ended(connection):
            raise ended_error() from error
        raise
    if was_ended(connection):
        raise ended_error()


async def _make(call: Call, timeout_s: float) -> None:
    """Make a call with a time limit. A cancellation that the handler caused becomes HandlerCancelledError."""
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            await call.begin()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise _timeout_error(call, timeout_s) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise HandlerCancelledError(f"handler {call.name} was cancelled by something of its own") from error
    if limit.expired():  # it caught the cancellation, and went on
        raise _timeout_error(call, timeout_s)


def _timeout_error(call: Call, timeout_s: float) -> TimeoutError:
    return TimeoutError(f"handler {call.name} was ended after {timeout_s:g} s (HANDLER_TIMEOUT_S)")
