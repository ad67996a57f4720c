"""Which handler is called for what."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from consumers.handlers.calls import Call, make_calls
from consumers.handlers.connection import GuestConnection, check_usable, is_lost
from consumers.handlers.exceptions import HandlerFailed, HandlersError
from consumers.handlers.payment_fact import PaymentFact, payment_fact
from contract.event import Event
from contract.facts import KINDS, Fact, Kind
from ledger.outcome import Happened, Outcome
from sql.connect import Connection

EventHandler: TypeAlias = "Callable[[Connection, Event], Awaitable[None]]"
FactHandler: TypeAlias = "Callable[[Connection, Event, PaymentFact], Awaitable[None]]"
SomeHandler = TypeVar("SomeHandler", bound=Callable[..., Awaitable[None]])

_NOT_HANDLED: frozenset[Kind] = frozenset({"pending", "refunded_total"})
"""Facts that happen to no payment: nothing has moved, and no state was reached."""


class Projection(Protocol):
    """Applies a whole batch in the open transaction; it may not commit, and raises to undo the batch.

    Of the kinds of facts that are wanted, and of no others, its outcome tells what happened.
    """

    async def __call__(self, connection: Connection, events: Sequence[Event], wanted: AbstractSet[Kind], /) -> Outcome:
        """Applies them."""


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
            _add(self._by_type.setdefault((provider, event_type), []), handler)
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
            _add(self._by_fact.setdefault(kind, []), handler if takes == 3 else _WithoutFact(handler))
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
        is_guest = False
        try:
            for projection in self._projections:
                async with asyncio.timeout(timeout_s):
                    brought = await projection(connection, events, self.wanted)
                outcome.happened.extend(brought.happened)
                outcome.conflicts.update(brought.conflicts)
                outcome.held_back.update(brought.held_back)
                after_each()
            is_guest = True
            if calls := list(self._calls(GuestConnection(connection), events, outcome.happened)):
                await make_calls(connection, calls, timeout_s, after_each)
            else:
                await check_usable(connection)
        except Exception as error:
            raise HandlerFailed(error, connection_lost=is_lost(connection), is_guest=is_guest) from error
        return outcome

    async def tell(self, connection: Connection, happened: Sequence[Happened], timeout_s: float) -> None:
        """Calls the handlers of facts that became true later than their event was applied.

        Raises HandlerFailed, whatever a handler raised.
        """
        guest = GuestConnection(connection)
        calls = [call for event, fact in happened for call in self._calls_of(guest, event, fact)]
        try:
            if calls:
                await make_calls(connection, calls, timeout_s, lambda: None)
        except Exception as error:
            raise HandlerFailed(error, connection_lost=is_lost(connection)) from error

    def _calls(
        self, connection: GuestConnection, events: Sequence[Event], happened: Sequence[Happened]
    ) -> Iterator[Call]:
        """Event by event: first those of its type, then those of its facts."""
        if not (self._by_type or happened):
            return
        facts: dict[tuple[str, str], list[Fact]] = {}
        for event, fact in happened:
            facts.setdefault((event.namespace, event.event_id), []).append(fact)
        for event in events:
            for handler in self._by_type.get((event.provider, event.type), ()):
                yield Call(_name(handler), partial(handler, cast("Connection", connection), event))
            for fact in facts.get((event.namespace, event.event_id), ()):
                yield from self._calls_of(connection, event, fact)

    def _calls_of(self, connection: GuestConnection, event: Event, fact: Fact) -> Iterator[Call]:
        if handlers := self._by_fact.get(fact.kind):
            told = payment_fact(event, fact)
            for handler in handlers:
                yield Call(_name(handler), partial(handler, cast("Connection", connection), event, told))


@dataclass(frozen=True)
class _WithoutFact:
    """A handler that leaves the fact out. Two of one function are equal."""

    handler: EventHandler

    def __call__(self, connection: Connection, event: Event, _: PaymentFact) -> Awaitable[None]:
        return self.handler(connection, event)


def _name(handler: Callable[..., object]) -> str:
    handler = handler.handler if isinstance(handler, _WithoutFact) else handler
    return str(getattr(handler, "__qualname__", handler))


def _add(handlers: list[Any], handler: Callable[..., Awaitable[None]]) -> None:
    if handler in handlers:
        raise HandlersError(f"handler {_name(handler)} is registered twice for the same, and would be called twice")
    handlers.append(handler)


def _check(handler: Callable[..., Awaitable[None]], parameters: tuple[int, ...]) -> int:
    """How many parameters a handler takes. Raises HandlersError where it cannot be called."""
    if not inspect.iscoroutinefunction(handler):
        raise HandlersError(f"handler {handler!r} is not an `async def` function")
    for count in parameters[::-1]:
        with suppress(TypeError):
            inspect.signature(handler).bind(*range(count))
            return count
    raise HandlersError(f"handler {handler!r} cannot be called with {' or '.join(map(str, parameters))} arguments")
