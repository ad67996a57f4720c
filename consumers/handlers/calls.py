"""How users' handlers are called: one after the other, each within its time, all in the one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from consumers.handlers.connection import check_usable, ended, unfinished, was_ended
from consumers.handlers.exceptions import HandlerCancelledError
from sql.connect import Connection

CHECKS_PER_TIMEOUT = 10
"""How often, within the time one call may take, Postgres hears of a batch whose handlers do not talk to it: a long
silence would look like a worker that is gone, and Postgres would end the transaction."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one handler."""

    name: str
    begin: Callable[[], Awaitable[None]]


async def make_calls(
    connection: Connection, calls: Sequence[Call], timeout_s: float, after_each: Callable[[], None]
) -> None:
    """Makes them; `timeout_s` is for each, and `after_each` is told of each. Raises whatever a handler raises, and
    TransactionEndedError where one has ended the transaction.
    """
    checked_at_s = time.monotonic()
    async with unfinished(connection):
        for call in calls:
            await _make_in(connection, call, timeout_s)
            after_each()
            if time.monotonic() - checked_at_s > timeout_s / CHECKS_PER_TIMEOUT:
                await check_usable(connection)
                checked_at_s = time.monotonic()


async def _make_in(connection: Connection, call: Call, timeout_s: float) -> None:
    """Whatever it does, no further handler works outside the transaction."""
    try:
        await _make(call, timeout_s)
    except Exception as error:
        if was_ended(connection):
            raise ended() from error
        raise
    if was_ended(connection):
        raise ended()


async def _make(call: Call, timeout_s: float) -> None:
    """Within its time. Raises what the handler raises; of a cancellation only one that was not its own."""
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            await call.begin()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise _too_long(call, timeout_s) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise HandlerCancelledError(f"handler {call.name} was cancelled by something of its own") from error
    if limit.expired():  # it caught the cancellation, and went on
        raise _too_long(call, timeout_s)


def _too_long(call: Call, timeout_s: float) -> TimeoutError:
    return TimeoutError(f"handler {call.name} was ended after {timeout_s:g} s (HANDLER_TIMEOUT_S)")
