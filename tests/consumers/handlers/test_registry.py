"""The handlers' registry: what it refuses, in which order it calls, and what a handler's failure becomes."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from consumers.handlers import (
    Connection,
    HandlerFailed,
    Handlers,
    HandlersError,
    Outcome,
    Reject,
    TransactionEndedError,
)
from contract.event import Event
from contract.facts import Fact, Kind
from tests.support.events import contract_event
from tests.support.handler_calls import TIMEOUT_S, apply

CREATED, SUCCEEDED = "payment_intent.created", "payment_intent.succeeded"


async def test_handlers_see_their_events_in_order_after_the_projections(connection: asyncpg.Connection) -> None:
    calls: list[str] = []

    async def project(_: Connection, events: Sequence[Event], __: AbstractSet[Kind]) -> Outcome:
        calls.append("all " + " ".join(event.event_id for event in events))
        return Outcome()

    handlers = Handlers(project)

    @handlers.on("stripe", SUCCEEDED)
    async def first(_: Connection, event: Event) -> None:
        calls.append(f"first {event.event_id}")

    @handlers.on("stripe", SUCCEEDED)
    async def second(_: Connection, event: Event) -> None:
        calls.append(f"second {event.event_id}")

    done = 0

    def after_each() -> None:
        nonlocal done
        done += 1

    events = [contract_event("a"), contract_event("b", type=CREATED), contract_event("c", provider="hmac")]
    async with connection.transaction():
        await connection.execute("CREATE TEMP TABLE touched () ON COMMIT DROP")
        await handlers.apply(connection, events, TIMEOUT_S, after_each)
    assert calls == ["all a b c", "first a", "second a"]
    assert done == 3


async def test_two_registries_are_joined_and_neither_is_changed(connection: asyncpg.Connection) -> None:
    calls: list[str] = []
    ours, theirs = Handlers(), Handlers()

    @ours.on("stripe", SUCCEEDED)
    async def built_in(_: Connection, __: Event) -> None:
        calls.append("built in")

    @theirs.on("stripe", SUCCEEDED)
    async def user(_: Connection, __: Event) -> None:
        calls.append("user")

    await apply(ours.joined_with(theirs), connection, contract_event())
    await apply(ours, connection, contract_event())
    assert calls == ["built in", "user", "built in"]


async def test_what_a_handler_raises_is_its_failure(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def refuse(_: Connection, __: Event) -> None:
        raise Reject("not ours")

    with pytest.raises(HandlerFailed) as raised:
        await apply(handlers, connection, contract_event())
    assert isinstance(raised.value.__cause__, Reject)
    assert not raised.value.connection_lost


async def test_a_handler_has_a_time_limit(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def hang(_: Connection, __: Event) -> None:
        await asyncio.Event().wait()

    with pytest.raises(HandlerFailed, match=r"handler .*hang was ended after 0\.05 s") as raised:
        await apply(handlers, connection, contract_event(), timeout_s=0.05)
    assert isinstance(raised.value.__cause__, TimeoutError)


async def test_a_handler_that_survives_its_cancellation_has_failed_too(
    connection: asyncpg.Connection,
) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def go_on(_: Connection, __: Event) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    with pytest.raises(HandlerFailed, match="was ended after"):
        await apply(handlers, connection, contract_event(), timeout_s=0.05)


async def test_a_time_limit_of_its_own_is_the_handler_s_error(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def ask_elsewhere(_: Connection, __: Event) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(HandlerFailed, match=r"^TimeoutError$"):
        await apply(handlers, connection, contract_event())


async def test_a_cancellation_of_its_own_does_not_stop_the_worker(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def cancel(_: Connection, __: Event) -> None:
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        await task

    with pytest.raises(HandlerFailed, match="was cancelled by something of its own"):
        await apply(handlers, connection, contract_event())


async def test_a_cancellation_of_the_worker_is_not_the_handler_s(connection: asyncpg.Connection) -> None:
    handlers, begun = Handlers(), asyncio.Event()

    @handlers.on("stripe", SUCCEEDED)
    async def wait(_: Connection, __: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(apply(handlers, connection, contract_event()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_lost_connection_is_marked_in_the_failure(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def lose(given: Connection, __: Event) -> None:
        await given.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises((HandlerFailed, asyncpg.InterfaceError)) as raised:
        await apply(handlers, connection, contract_event())
    failure = raised.value if isinstance(raised.value, HandlerFailed) else raised.value.__context__
    assert isinstance(failure, HandlerFailed)
    assert failure.connection_lost


def test_a_sync_function_is_refused() -> None:
    with pytest.raises(HandlersError, match="is not an `async def` function"):
        Handlers().on("stripe", SUCCEEDED)(lambda _, __: None)  # type: ignore[type-var]


def test_a_function_with_other_parameters_is_refused() -> None:
    async def wants_more(_: Connection, __: Event, ___: object, ____: object) -> None: ...

    with pytest.raises(HandlersError, match="cannot be called with 2 arguments"):
        Handlers().on("stripe", SUCCEEDED)(wants_more)
    with pytest.raises(HandlersError, match="cannot be called with 2 or 3 arguments"):
        Handlers().on_fact("captured")(wants_more)


@pytest.mark.parametrize("kind", ["pending", "refunded_total", "paid"])
def test_an_unknown_kind_of_fact_is_refused(kind: Any) -> None:
    with pytest.raises(HandlersError, match=f"on_fact\\('{kind}'\\) is not one of authorized, "):
        Handlers().on_fact(kind)


def test_a_handler_that_would_be_called_twice_is_refused() -> None:
    handlers = Handlers()

    async def handler(_: Connection, __: Event) -> None: ...

    for decorator in (handlers.on("stripe", SUCCEEDED), handlers.on_fact("captured")):
        decorator(handler)
        with pytest.raises(HandlersError, match="handler is registered twice"):
            decorator(handler)
    handlers.on_fact("refunded")(handler)


async def test_a_failure_of_handlers_that_are_notified_later_is_a_failure_too(connection: asyncpg.Connection) -> None:
    handlers = Handlers()
    fact = Fact("captured", 1999, "EUR", "pi_1")

    @handlers.on_fact("captured")
    async def act(given: Connection, event: Event) -> None:
        if event.event_id == "evt_refused":
            raise Reject("not ours")
        await given.execute("COMMIT")

    async def notify(event_id: str) -> None:
        async with connection.transaction():
            await connection.execute("CREATE TEMP TABLE touched () ON COMMIT DROP")
            await handlers.notify(connection, [(contract_event(event_id), fact)], TIMEOUT_S)

    assert handlers.wanted == {"captured"}
    for name, cause in (("evt_refused", Reject), ("evt_ended", TransactionEndedError)):
        with pytest.raises(HandlerFailed) as raised:
            await notify(name)
        assert isinstance(raised.value.__cause__, cause)
