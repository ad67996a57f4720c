"""The registry: which handlers are called for which events and facts."""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from consumers.handlers.calls import Call, CallLimits, make_calls
from consumers.handlers.connection import HandlerConnection, check_usable, is_lost, take_back
from consumers.handlers.exceptions import HandlerFailed, HandlersError, SlowCallsError
from consumers.handlers.payment_fact import PaymentFact, payment_fact
from consumers.handlers.watch import CallWatch
from consumers.spans import AroundCall
from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import KINDS, Fact, Kind
from ledger.outcome import EventFact, Outcome
from sql.connect import Connection

EventHandler: TypeAlias = "Callable[[Connection, Event], Awaitable[None]]"
FactHandler: TypeAlias = "Callable[[Connection, Event, PaymentFact], Awaitable[None]]"
SomeHandler = TypeVar("SomeHandler", bound=Callable[..., Awaitable[None]])

_NOT_HANDLED: frozenset[Kind] = frozenset({"pending", "refunded_total"})
"""Facts that no handler is called for: no money has moved, and no state was reached."""

_DEFAULT_RULES = PostingRules()


class Projection(Protocol):
    """Applies a whole batch in the open transaction. It may not commit; it raises to roll the batch back.

    Its outcome lists the facts of the wanted kinds that have become true, and no others.
    """

    async def __call__(self, connection: Connection, events: Sequence[Event], wanted: AbstractSet[Kind], /) -> Outcome:
        """Apply the events."""


class Handlers:
    """A registry, built at start and never changed later. It refuses sync functions, which would block the worker."""

    def __init__(self, *projections: Projection, posting_rules: Mapping[str, PostingRules] | None = None) -> None:
        """`posting_rules`: by source; they say which events are of another mode than their source, and not applied."""
        self._projections: list[Projection] = list(projections)
        self._posting_rules = dict(posting_rules or {})
        self._by_type: dict[tuple[str, str], list[EventHandler]] = {}
        self._by_fact: dict[Kind, list[FactHandler]] = {}

    def on(self, provider: str, event_type: str) -> Callable[[SomeHandler], SomeHandler]:
        """Register `async def handler(connection, event)` for one type of one provider's events."""

        def register(handler: SomeHandler) -> SomeHandler:
            _check(handler, (2,))
            _add(self._by_type.setdefault((provider, event_type), []), handler)
            return handler

        return register

    def on_fact(self, kind: Kind) -> Callable[[SomeHandler], SomeHandler]:
        """Register `async def handler(connection, event, fact)` for a kind of fact, of any provider.

        It is called once when the fact becomes true of a payment (once for each transfer), however many events report
        it. `fact` is a PaymentFact, and may be left out of the parameters. Raise HandlersError for an unknown kind.
        """
        if kind not in KINDS - _NOT_HANDLED:
            raise HandlersError(f"on_fact({kind!r}) is not one of {', '.join(sorted(KINDS - _NOT_HANDLED))}")

        def register(handler: SomeHandler) -> SomeHandler:
            takes = _check(handler, (2, 3))
            _add(self._by_fact.setdefault(kind, []), handler if takes == 3 else _WithoutFact(handler))
            return handler

        return register

    def joined_with(self, other: "Handlers") -> "Handlers":
        """Return a registry with these handlers, then the other's."""
        rules = self._posting_rules | other._posting_rules
        joined = Handlers(*self._projections, *other._projections, posting_rules=rules)
        for registry in (self, other):
            for key, handlers in registry._by_type.items():
                joined._by_type.setdefault(key, []).extend(handlers)
            for kind, fact_handlers in registry._by_fact.items():
                joined._by_fact.setdefault(kind, []).extend(fact_handlers)
        return joined

    @property
    def wanted(self) -> AbstractSet[Kind]:
        """The kinds of facts that handlers are registered for."""
        return self._by_fact.keys()

    def is_of_other_mode(self, event: Event) -> bool:
        """Return whether the event is of the other mode than its source, such as a test event at a live endpoint.

        It is recorded. It moves no money, and no handler is called: a handler that ships goods must not do so for test
        money. A source whose `mode` is `test` has its test events applied.
        """
        return event.mode is not None and self._posting_rules.get(event.source, _DEFAULT_RULES).is_of_other_mode(event)

    async def apply(
        self, connection: Connection, events: Sequence[Event], timeout_s: float, after_each: Callable[[], None],
        watch: CallWatch | None = None, *, is_alone: bool = True, is_guarded: bool = False,
        around_call: AroundCall | None = None,
    ) -> Outcome:  # fmt: skip
        """Apply events that were just claimed, except those of the other mode.

        `timeout_s` limits each call; `after_each` is called after each. `is_guarded`: the caller does what commit_guard
        does, for the whole transaction. `around_call`: makes the span of a call.

        Raise HandlerFailed, with what a handler raised as its cause; unless `is_alone`, SlowCallsError.
        """
        limits = CallLimits(timeout_s, after_each, watch or _unwatched(), is_alone, is_guarded, around_call)
        outcome = Outcome()
        outcome.other_mode.update(event.source for event in events if self.is_of_other_mode(event))
        if outcome.other_mode:
            events = [event for event in events if not self.is_of_other_mode(event)]
        is_user_handler = False
        try:
            for projection in self._projections if events else ():
                async with asyncio.timeout(timeout_s):
                    applied = await projection(connection, events, self.wanted)
                outcome.add(applied)
                after_each()
            is_user_handler = True
            through = HandlerConnection(connection)
            if calls := list(self._calls(through, events, outcome.happened)):
                try:
                    await make_calls(connection, through, calls, limits)
                finally:
                    take_back(through)
            else:
                await check_usable(connection)
        except SlowCallsError:
            raise
        except Exception as error:
            raise HandlerFailed(error, connection_lost=is_lost(connection), is_user_handler=is_user_handler) from error
        return outcome

    async def notify(self, connection: Connection, happened: Sequence[EventFact], timeout_s: float) -> None:
        """Call the handlers of facts that became true after their event was applied, by an operator's act.

        Raise HandlerFailed, with what a handler raised as its cause.
        """
        restricted = HandlerConnection(connection)
        calls = [call for event, fact in happened for call in self._calls_of(restricted, event, fact)]
        try:
            if calls:
                limits = CallLimits(timeout_s, lambda: None, _unwatched(), is_alone=True)
                await make_calls(connection, restricted, calls, limits)
        except Exception as error:
            raise HandlerFailed(error, connection_lost=is_lost(connection)) from error

    def _calls(
        self, connection: HandlerConnection, events: Sequence[Event], happened: Sequence[EventFact]
    ) -> Iterator[Call]:
        """Yield the calls event by event: first the handlers of its type, then those of its facts."""
        if not (self._by_type or happened):
            return
        facts: dict[tuple[str, str], list[Fact]] = {}
        for event, fact in happened:
            facts.setdefault((event.namespace, event.event_id), []).append(fact)
        for event in events:
            for handler in self._by_type.get((event.provider, event.type), ()):
                yield Call(_name(handler), event, partial(handler, cast("Connection", connection), event))
            for fact in facts.get((event.namespace, event.event_id), ()):
                yield from self._calls_of(connection, event, fact)

    def _calls_of(self, connection: HandlerConnection, event: Event, fact: Fact) -> Iterator[Call]:
        if handlers := self._by_fact.get(fact.kind):
            received = payment_fact(event, fact)
            for handler in handlers:
                yield Call(_name(handler), event, partial(handler, cast("Connection", connection), event, received))


@dataclass(frozen=True)
class _WithoutFact:
    """A handler without the fact parameter. Two of one function are equal, so that registering twice is noticed."""

    handler: EventHandler

    def __call__(self, connection: Connection, event: Event, _: PaymentFact) -> Awaitable[None]:
        return self.handler(connection, event)


def _unwatched() -> CallWatch:
    """Return the watch of calls that no worker makes: none of them is slow."""
    return CallWatch(slow_s=math.inf, blocked_s=math.inf)


def _name(handler: Callable[..., object]) -> str:
    handler = handler.handler if isinstance(handler, _WithoutFact) else handler
    return str(getattr(handler, "__qualname__", handler))


def _add(handlers: list[Any], handler: Callable[..., Awaitable[None]]) -> None:
    if handler in handlers:
        raise HandlersError(f"handler {_name(handler)} is registered twice for the same, and would be called twice")
    handlers.append(handler)


def _check(handler: Callable[..., Awaitable[None]], parameters: tuple[int, ...]) -> int:
    """Return how many parameters a handler takes. Raise HandlersError if it cannot be called."""
    if not inspect.iscoroutinefunction(handler):
        raise HandlersError(f"handler {handler!r} is not an `async def` function")
    for count in parameters[::-1]:
        with suppress(TypeError):
            inspect.signature(handler).bind(*range(count))
            return count
    raise HandlersError(f"handler {handler!r} cannot be called with {' or '.join(map(str, parameters))} arguments")
