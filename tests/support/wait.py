"""The only place in the tests that lets time pass: everything else waits for a condition, here."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

TIMEOUT_S = 60.0
"""How long a condition may take to come true before a test fails, on a machine with ten times its work."""

POLL_S = 0.01
"""How often a condition is looked at."""

T = TypeVar("T")


@overload
async def until(
    condition: Callable[[], Awaitable[T]], *, timeout_s: float = TIMEOUT_S, what: str, poll_s: float = POLL_S
) -> T: ...
@overload
async def until(
    condition: Callable[[], T], *, timeout_s: float = TIMEOUT_S, what: str, poll_s: float = POLL_S
) -> T: ...
async def until(
    condition: Callable[[], Any], *, timeout_s: float = TIMEOUT_S, what: str, poll_s: float = POLL_S
) -> Any:
    """The first true value of `condition`, a plain or an async function. Fails with `what` and the last value seen."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s; at last it was {value!r}")
        await asyncio.sleep(poll_s)


def until_sync(condition: Callable[[], T], *, timeout_s: float = TIMEOUT_S, what: str) -> T:
    """The same where no event loop runs, as in fixtures of the session."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s; at last it was {value!r}")
        time.sleep(POLL_S)
