"""The door for handlers: who may enter, what they are given, and what becomes of what they raise."""

import asyncio
import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
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
    load,
)
from contract.event import Event
from contract.facts import Fact, Kind
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

    with pytest.raises(HandlerFailed, match=r"handler .*hang was ended after 0\.05 s") as raised:
        await apply(handlers, connection, contract_event(), timeout_s=0.05)
    assert isinstance(raised.value.__cause__, TimeoutError)


async def test_a_handler_that_does_not_let_itself_be_ended_has_failed_all_the_same(
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


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN", "END AND CHAIN"])
async def test_a_handler_that_ends_the_transaction_is_found_out(connection: asyncpg.Connection, statement: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def end(given: Connection, __: Event) -> None:
        await given.execute(statement)

    await connection.execute("CREATE TABLE kept ()")

    async def keep() -> None:
        async with connection.transaction():
            await connection.execute("INSERT INTO kept DEFAULT VALUES")
            await handlers.apply(connection, [contract_event()], TIMEOUT_S, nothing)

    with pytest.raises(HandlerFailed) as raised:
        await keep()
    assert isinstance(raised.value.__cause__, TransactionEndedError)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0


async def test_nobody_works_outside_a_transaction_that_was_ended(connection: asyncpg.Connection) -> None:
    handlers, calls = Handlers(), 0

    @handlers.on("stripe", SUCCEEDED)
    async def end(given: Connection, __: Event) -> None:
        nonlocal calls
        calls += 1
        with suppress(asyncpg.PostgresError):
            await given.execute("COMMIT")

    with pytest.raises(HandlerFailed, match="ended the transaction"):
        await apply(handlers, connection, contract_event("a"), contract_event("b"))
    assert calls == 1


@pytest.mark.parametrize("method", ["close", "terminate", "reset"])
async def test_a_handler_has_nothing_to_close_the_connection_with(connection: asyncpg.Connection, method: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def close(given: Connection, __: Event) -> None:
        getattr(given, method)()

    with pytest.raises(HandlerFailed, match=f"no attribute '{method}'") as raised:
        await apply(handlers, connection, contract_event())
    assert not raised.value.connection_lost


async def test_a_handler_does_all_else_with_the_connection(connection: asyncpg.Connection) -> None:
    handlers, found = Handlers(), []

    @handlers.on("stripe", SUCCEEDED)
    async def work(given: Connection, _: Event) -> None:
        await given.execute("CREATE TABLE things (n int)")
        await given.executemany("INSERT INTO things VALUES ($1)", [(1,), (2,)])
        await given.copy_records_to_table("things", records=[(3,)])
        found.append(await given.fetchval("SELECT sum(n) FROM things"))
        found.append([row["n"] for row in await given.fetch("SELECT n FROM things ORDER BY n", timeout=5)])
        found.append(tuple(await given.fetchrow("SELECT min(n), max(n) FROM things")))
        found.append([row["n"] async for row in given.cursor("SELECT n FROM things WHERE n > $1 ORDER BY n", 1)])
        found.append(await (await given.prepare("SELECT $1::int")).fetchval(7))

    await apply(handlers, connection, contract_event())
    assert found == [6, [1, 2, 3], (1, 3), [2, 3], 7]


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


def test_a_function_that_takes_something_else_is_refused() -> None:
    async def wants_more(_: Connection, __: Event, ___: object, ____: object) -> None: ...

    with pytest.raises(HandlersError, match="cannot be called with 2 arguments"):
        Handlers().on("stripe", SUCCEEDED)(wants_more)
    with pytest.raises(HandlersError, match="cannot be called with 2 or 3 arguments"):
        Handlers().on_fact("captured")(wants_more)


@pytest.mark.parametrize("kind", ["pending", "refunded_total", "paid"])
def test_a_fact_that_happens_to_no_payment_is_refused(kind: Any) -> None:
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


# HANDLERS=module:name.


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's, importable as `shop_handlers`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "shop_handlers.py"


def test_the_users_handlers_join_the_built_in_ones(module: Path) -> None:
    module.write_text("from consumers.handlers import Handlers\nhandlers = Handlers()\nother = 1\n")
    builtin = Handlers()
    assert load("", builtin, "") is builtin
    assert isinstance(load("shop_handlers:handlers", builtin, ""), Handlers)
    with pytest.raises(HandlersError, match="is a int"):
        load("shop_handlers:other", builtin, "")


@pytest.mark.parametrize(
    "name", ["nowhere", "nowhere:x", "json", "json:", ":x", ":", "..:x", "consumers.handlers:nothing", "json:loads:x"]
)
def test_a_name_that_names_nothing_is_told(name: str) -> None:
    with pytest.raises(HandlersError, match="HANDLERS="):
        load(name, Handlers(), "")


def test_the_module_is_looked_for_in_a_folder_of_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "handlers_elsewhere.py").write_text(
        "from consumers.handlers import Handlers\nimport json\nhandlers = Handlers()\nnumber = 1\n"
    )
    (tmp_path / "json.py").write_text("raise RuntimeError('not to be found before that of Python')")
    with pytest.raises(HandlersError, match="cannot be loaded: ModuleNotFoundError"):
        load("handlers_elsewhere:handlers", Handlers(), "")
    assert isinstance(load("handlers_elsewhere:handlers", Handlers(), str(tmp_path)), Handlers)
    with pytest.raises(HandlersError, match=f"HANDLERS_FOLDER={tmp_path}\\): ModuleNotFoundError"):
        load("nowhere:handlers", Handlers(), str(tmp_path))


def test_the_line_that_is_wrong_is_told(module: Path) -> None:
    other = module.with_name("handlers_with_a_mistake.py")
    other.write_text("from consumers.handlers import Handlers\n\nhandlers = Handers()\n")
    with pytest.raises(HandlersError, match=r"NameError: .* \(.*handlers_with_a_mistake\.py, line 3\)"):
        load("handlers_with_a_mistake:handlers", Handlers(), "")


@pytest.mark.parametrize("source", ["def broken(:", "raise RuntimeError('no settings')", "import nowhere_at_all"])
def test_a_module_that_does_not_load_is_told(module: Path, source: str) -> None:
    other = module.with_name(f"broken_{abs(hash(source))}.py")
    other.write_text(source)
    with pytest.raises(HandlersError, match="cannot be loaded"):
        load(f"{other.stem}:handlers", Handlers(), "")


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
            await handlers.notify(connection, [(contract_event(event_id), fact)], TIMEOUT_S)

    assert handlers.wanted == {"captured"}
    for name, cause in (("evt_refused", Reject), ("evt_ended", TransactionEndedError)):
        with pytest.raises(HandlerFailed) as raised:
            await tell(name)
        assert isinstance(raised.value.__cause__, cause)
