"""What is done with an event, inside the transaction that applies it. The built-in projection uses this door too."""

import asyncio
import importlib
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

import asyncpg

from contract.event import Event
from sql import load as load_queries

EVENTS = load_queries("events")

CHECKS_PER_TIMEOUT = 10
"""How often, within the time one call may take, Postgres hears of a batch whose handlers do not talk to it: a long
silence would look like a worker that is gone, and Postgres would end the transaction."""

RETRY_AFTER_S_MAX = 24 * 60 * 60
"""The longest a handler may put an event off: it stays in a worker's hands until then."""

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
"""The connection of the open transaction, as asyncpg gives it."""

Handler: TypeAlias = "Callable[[Connection, Event], Awaitable[None]]"


class Projection(Protocol):
    """Applies a whole batch in the open transaction; it may not commit, and raises to undo the batch."""

    async def __call__(self, connection: Connection, events: Sequence[Event], /) -> None:
        """Applies them."""


class Retry(Exception):  # noqa: N818 - a verb for handlers
    """Raise it to have this event tried again: after `after` seconds, or the usual growing delay where None."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        if after is not None and not (math.isfinite(after) and 0 <= after <= RETRY_AFTER_S_MAX):
            raise ValueError(f"Retry(after={after!r}) is not between 0 and {RETRY_AFTER_S_MAX} seconds")
        self.after_s = after


class Reject(Exception):  # noqa: N818 - a verb for handlers
    """Raise it when this event can never be applied: it goes to the dead letters with this reason."""


class HandlerFailed(Exception):  # noqa: N818 - a fact, wrapped for whoever decides about retries
    """A handler raised; the cause is `__cause__`. `connection_lost` tells whether Postgres was gone by then."""

    def __init__(self, cause: BaseException, *, connection_lost: bool) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__)
        self.connection_lost = connection_lost


class TransactionEndedError(Exception):
    """A handler ended the transaction it was given, or went on after one of its statements had failed in it."""


class HandlersError(Exception):
    """HANDLERS does not name usable handlers."""


class Handlers:
    """A registry, built at start and never changed later. Sync functions are refused: they would stop the worker."""

    def __init__(self, *projections: Projection) -> None:
        self._projections: list[Projection] = list(projections)
        self._by_type: dict[tuple[str, str], list[Handler]] = {}

    def on(self, provider: str, event_type: str) -> Callable[[Handler], Handler]:
        """Registers `async def handler(connection, event)` for one type of one provider's events."""

        def register(handler: Handler) -> Handler:
            if not inspect.iscoroutinefunction(handler):
                raise HandlersError(f"handler {handler!r} is not an `async def` function")
            self._by_type.setdefault((provider, event_type), []).append(handler)
            return handler

        return register

    def joined_with(self, other: "Handlers") -> "Handlers":
        """These handlers, then the other's."""
        joined = Handlers(*self._projections, *other._projections)
        for registry in (self, other):
            for key, handlers in registry._by_type.items():
                joined._by_type.setdefault(key, []).extend(handlers)
        return joined

    async def apply(
        self, connection: Connection, events: Sequence[Event], timeout_s: float, after_each: Callable[[], None]
    ) -> None:
        """Applies events that were just claimed; `timeout_s` is for each call, and `after_each` is told of each.

        Raises HandlerFailed, whatever a handler raised.
        """
        try:
            for projection in self._projections:
                async with asyncio.timeout(timeout_s):
                    await projection(connection, events)
                after_each()
            checked_at_s = time.monotonic()
            for event in events:
                for handler in self._by_type.get((event.provider, event.type), ()):
                    async with asyncio.timeout(timeout_s):
                        await handler(connection, event)
                    after_each()
                    if time.monotonic() - checked_at_s > timeout_s / CHECKS_PER_TIMEOUT:
                        await _check_transaction(connection)
                        checked_at_s = time.monotonic()
            await _check_transaction(connection)
        except Exception as error:
            raise HandlerFailed(error, connection_lost=connection.is_closed()) from error


async def _check_transaction(connection: Connection) -> None:
    """Raises where COMMIT would undo the batch and not say so: a handler hid a failed statement, or ended it itself."""
    try:
        if await connection.fetchval(EVENTS["is_transaction_open"]):
            return
    except asyncpg.InFailedSQLTransactionError as error:
        raise TransactionEndedError(
            "a handler hid an error of its SQL; use a nested transaction to survive one"
        ) from error
    raise TransactionEndedError("a handler ended the transaction it was given")


def load(name: str, builtin: Handlers) -> Handlers:
    """The built-in handlers, joined with those `module:name` names. Raises HandlersError with what is wrong with it."""
    if not name:
        return builtin
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise HandlersError(f"HANDLERS={name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, Handlers):
        raise HandlersError(f"HANDLERS={name!r} is a {type(found).__name__}, not consumers.handlers.Handlers")
    return builtin.joined_with(found)
