"""What is done with an event, inside the transaction that applies it. The built-in projection uses this door too."""

import asyncio
import importlib
import inspect
import math
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import asyncpg

from consumers.facts.base import KINDS, Fact, Kind
from contract.event import Event
from contract.record import record
from sql import load as load_queries

EVENTS = load_queries("events")

CHECKS_PER_TIMEOUT = 10
"""How often, within the time one call may take, Postgres hears of a batch whose handlers do not talk to it: a long
silence would look like a worker that is gone, and Postgres would end the transaction."""

RETRY_AFTER_S_MAX = 24 * 60 * 60
"""The longest a handler may put an event off: it stays in a worker's hands until then."""

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
"""The connection of the open transaction, as asyncpg gives it."""


@record(frozen=True, slots=True)
class PaymentFact:
    """What has just become true of a payment, for the first time. `amount` is in minor units of `currency`.

    `object` is the id of the capture, refund or dispute, "" for what is about the payment itself. `idempotency_key` is
    the same whichever event tells of it, and however often it is tried: pass it on to other systems.
    """

    kind: Kind
    payment_id: str
    amount: int
    currency: str
    object: str
    idempotency_key: str


EventHandler: TypeAlias = "Callable[[Connection, Event], Awaitable[None]]"
FactHandler: TypeAlias = "Callable[[Connection, Event, PaymentFact], Awaitable[None]]"
SomeHandler = TypeVar("SomeHandler", bound=Callable[..., Awaitable[None]])

KEY_SPACE = uuid.UUID("5d0e4bd6-5c2e-4f0b-9a55-0c1b8a1d3c6e")
"""Makes idempotency keys differ from what others make of the same names."""

_NOT_HANDLED: frozenset[Kind] = frozenset({"pending", "refunded_total"})
"""Facts that happen to no payment: nothing has moved, and no state was reached."""


@dataclass(slots=True)
class Outcome:
    """What a batch brought about: facts that are true now and were not before; by source, what could not be booked."""

    happened: list[tuple[Event, Fact]] = field(default_factory=list)
    conflicts: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)


class Projection(Protocol):
    """Applies a whole batch in the open transaction; it may not commit, and raises to undo the batch.

    Of the kinds of facts that are wanted, and of no others, its outcome tells what happened.
    """

    async def __call__(self, connection: Connection, events: Sequence[Event], wanted: AbstractSet[Kind], /) -> Outcome:
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
        self._by_type: dict[tuple[str, str], list[EventHandler]] = {}
        self._by_fact: dict[Kind, list[FactHandler]] = {}

    def on(self, provider: str, event_type: str) -> Callable[[SomeHandler], SomeHandler]:
        """Registers `async def handler(connection, event)` for one type of one provider's events."""

        def register(handler: SomeHandler) -> SomeHandler:
            _check(handler, (2,))
            self._by_type.setdefault((provider, event_type), []).append(handler)
            return handler

        return register

    def on_fact(self, kind: Kind) -> Callable[[SomeHandler], SomeHandler]:
        """Registers `async def handler(connection, event, fact)`, whoever the provider is: it is called once when this
        becomes true of a payment (a movement of money: once for each), however many events tell of it.

        `fact` is a PaymentFact, and may be left out of the parameters. Raises HandlersError for an unknown kind.
        """
        if kind not in KINDS - _NOT_HANDLED:
            raise HandlersError(f"on_fact({kind!r}) is not one of {', '.join(sorted(KINDS - _NOT_HANDLED))}")

        def register(handler: SomeHandler) -> SomeHandler:
            takes = _check(handler, (2, 3))
            called: FactHandler = handler if takes == 3 else lambda connection, event, _: handler(connection, event)
            self._by_fact.setdefault(kind, []).append(called)
            return handler

        return register

    def joined_with(self, other: "Handlers") -> "Handlers":
        """These handlers, then the other's."""
        joined = Handlers(*self._projections, *other._projections)
        for registry in (self, other):
            for key, handlers in registry._by_type.items():
                joined._by_type.setdefault(key, []).extend(handlers)
            for kind, fact_handlers in registry._by_fact.items():
                joined._by_fact.setdefault(kind, []).extend(fact_handlers)
        return joined

    @property
    def wanted(self) -> AbstractSet[Kind]:
        """The kinds of facts that handlers are told of."""
        return self._by_fact.keys()

    async def apply(
        self, connection: Connection, events: Sequence[Event], timeout_s: float, after_each: Callable[[], None]
    ) -> Outcome:
        """Applies events that were just claimed; `timeout_s` is for each call, and `after_each` is told of each.

        Raises HandlerFailed, whatever a handler raised.
        """
        outcome = Outcome()
        try:
            for projection in self._projections:
                async with asyncio.timeout(timeout_s):
                    brought = await projection(connection, events, self.wanted)
                outcome.happened.extend(brought.happened)
                outcome.conflicts.update(brought.conflicts)
                outcome.held_back.update(brought.held_back)
                after_each()
            await self._call(connection, events, outcome.happened, timeout_s, after_each)
            await _check_transaction(connection)
        except Exception as error:
            raise HandlerFailed(error, connection_lost=connection.is_closed()) from error
        return outcome

    async def tell(self, connection: Connection, happened: Sequence[tuple[Event, Fact]], timeout_s: float) -> None:
        """Calls the handlers of facts that became true later than their event was applied.

        Raises HandlerFailed, whatever a handler raised.
        """
        try:
            for event, fact in happened:
                for handler in self._by_fact.get(fact.kind, ()):
                    async with asyncio.timeout(timeout_s):
                        await handler(connection, event, _payment_fact(event, fact))
            await _check_transaction(connection)
        except Exception as error:
            raise HandlerFailed(error, connection_lost=connection.is_closed()) from error

    async def _call(
        self, connection: Connection, events: Sequence[Event], happened: Sequence[tuple[Event, Fact]],
        timeout_s: float, after_each: Callable[[], None],
    ) -> None:  # fmt: skip
        """Calls the guests, event by event."""
        if not (self._by_type or happened):
            return
        facts: dict[tuple[str, str], list[Fact]] = {}
        for event, fact in happened:
            facts.setdefault((event.namespace, event.event_id), []).append(fact)
        checked_at_s = time.monotonic()
        for event in events:
            for call in self._calls(connection, event, facts.get((event.namespace, event.event_id), ())):
                async with asyncio.timeout(timeout_s):
                    await call()
                after_each()
                if time.monotonic() - checked_at_s > timeout_s / CHECKS_PER_TIMEOUT:
                    await _check_transaction(connection)
                    checked_at_s = time.monotonic()

    def _calls(
        self, connection: Connection, event: Event, facts: Sequence[Fact]
    ) -> list[Callable[[], Awaitable[None]]]:
        calls: list[Callable[[], Awaitable[None]]] = [
            partial(handler, connection, event) for handler in self._by_type.get((event.provider, event.type), ())
        ]
        for fact in facts:
            told = _payment_fact(event, fact)
            calls.extend(partial(handler, connection, event, told) for handler in self._by_fact.get(fact.kind, ()))
        return calls


def idempotency_key(event: Event) -> str:
    """A UUID for what a handler asks of other systems because of this event: the same however often it is tried."""
    return str(uuid.uuid5(KEY_SPACE, f"event:{event.namespace}:{event.event_id}"))


def _payment_fact(event: Event, fact: Fact) -> PaymentFact:
    name = f"fact:{event.namespace}:{fact.kind}:{fact.object or event.resource}"
    return PaymentFact(
        fact.kind, event.resource, fact.amount, fact.currency, fact.object, str(uuid.uuid5(KEY_SPACE, name))
    )


def _check(handler: Callable[..., Awaitable[None]], parameters: tuple[int, ...]) -> int:
    """How many parameters a handler takes. Raises HandlersError where it cannot be called."""
    if not inspect.iscoroutinefunction(handler):
        raise HandlersError(f"handler {handler!r} is not an `async def` function")
    for count in parameters[::-1]:
        with suppress(TypeError):
            inspect.signature(handler).bind(*range(count))
            return count
    raise HandlersError(f"handler {handler!r} cannot be called with {' or '.join(map(str, parameters))} arguments")


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
