"""The door for handlers: who may enter, what they are given, and what becomes of what they raise."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import asyncpg
import pytest

from consumers.facts.base import Fact, Kind
from consumers.handlers import (
    Connection,
    HandlerFailed,
    Handlers,
    HandlersError,
    Outcome,
    Reject,
    TransactionEndedError,
    load,
)
from contract.event import Event
from tests.support.events import contract_event

TIMEOUT_S = 5.0
CREATED, SUCCEEDED = "payment_intent.created", "payment_intent.succeeded"


def nothing() -> None:
    """After each call."""


async def apply(
    handlers: Handlers, connection: asyncpg.Connection, *events: Event, timeout_s: float = TIMEOUT_S
) -> None:
    async with connection.transaction():
        await connection.execute("CREATE TEMP TABLE touched () ON COMMIT DROP")
        await handlers.apply(connection, events, timeout_s, nothing)


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


async def test_whatever_a_handler_raises_is_its_failure(connection: asyncpg.Connection) -> None:
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

    with pytest.raises(HandlerFailed) as raised:
        await apply(handlers, connection, contract_event(), timeout_s=0.05)
    assert isinstance(raised.value.__cause__, TimeoutError)


async def test_a_lost_connection_is_told(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def lose(given: Connection, __: Event) -> None:
        await given.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises((HandlerFailed, asyncpg.InterfaceError)) as raised:
        await apply(handlers, connection, contract_event())
    failure = raised.value if isinstance(raised.value, HandlerFailed) else raised.value.__context__
    assert isinstance(failure, HandlerFailed)
    assert failure.connection_lost


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
async def test_a_handler_that_ends_the_transaction_is_found_out(connection: asyncpg.Connection, statement: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def end(given: Connection, __: Event) -> None:
        await given.execute(statement)

    with pytest.raises(HandlerFailed) as raised:
        await apply(handlers, connection, contract_event())
    assert isinstance(raised.value.__cause__, TransactionEndedError)


async def test_a_handler_may_survive_an_error_in_a_nested_transaction(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def survive(given: Connection, __: Event) -> None:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with given.transaction():
                await given.execute("SELECT 1/0")

    await apply(handlers, connection, contract_event())


def test_a_function_that_would_stop_the_worker_is_refused() -> None:
    with pytest.raises(HandlersError, match="is not an `async def` function"):
        Handlers().on("stripe", SUCCEEDED)(lambda _, __: None)  # type: ignore[type-var]


# HANDLERS=module:name.


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's, importable as `shop_handlers`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "shop_handlers.py"


def test_the_users_handlers_join_the_built_in_ones(module: Path) -> None:
    module.write_text("from consumers.handlers import Handlers\nhandlers = Handlers()\nother = 1\n")
    builtin = Handlers()
    assert load("", builtin) is builtin
    assert isinstance(load("shop_handlers:handlers", builtin), Handlers)
    with pytest.raises(HandlersError, match="is a int"):
        load("shop_handlers:other", builtin)


@pytest.mark.parametrize(
    "name", ["nowhere", "nowhere:x", "json", "json:", ":x", ":", "..:x", "consumers.handlers:nothing", "json:loads:x"]
)
def test_a_name_that_names_nothing_is_told(name: str) -> None:
    with pytest.raises(HandlersError, match="HANDLERS="):
        load(name, Handlers())


@pytest.mark.parametrize("source", ["def broken(:", "raise RuntimeError('no settings')", "import nowhere_at_all"])
def test_a_module_that_does_not_load_is_told(module: Path, source: str) -> None:
    other = module.with_name(f"broken_{abs(hash(source))}.py")
    other.write_text(source)
    with pytest.raises(HandlersError, match="cannot be loaded"):
        load(f"{other.stem}:handlers", Handlers())


async def test_whatever_fails_where_handlers_are_told_later_is_a_failure_too(connection: asyncpg.Connection) -> None:
    handlers = Handlers()
    fact = Fact("captured", 1999, "EUR", "pi_1")

    @handlers.on_fact("captured")
    async def act(given: Connection, event: Event) -> None:
        if event.event_id == "evt_refused":
            raise Reject("not ours")
        await given.execute("COMMIT")

    async def tell(event_id: str) -> None:
        async with connection.transaction():
            await connection.execute("CREATE TEMP TABLE touched () ON COMMIT DROP")
            await handlers.tell(connection, [(contract_event(event_id), fact)], TIMEOUT_S)

    assert handlers.wanted == {"captured"}
    for name, cause in (("evt_refused", Reject), ("evt_ended", TransactionEndedError)):
        with pytest.raises(HandlerFailed) as raised:
            await tell(name)
        assert isinstance(raised.value.__cause__, cause)
