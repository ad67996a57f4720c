"""The daily maintenance: one worker at a time does what is due, and goes on where another one died."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.maintenance import STEPS
from consumers.maintenance.runner import FAILED_AGAIN_S, Maintenance
from consumers.maintenance.steps import Done, Step, StepError, Turn
from consumers.settings import DAY_S, Settings
from sql.connect import connect
from tests.support.database import CONNECT_TIMEOUT_S, as_worker

ROW = "SELECT claimed_by, succeeded_at, outcome, failure, next_at - now() AS next_in FROM maintenance WHERE step = $1"


def step(name: str, run: Callable[[Turn], Awaitable[Done]]) -> Step:
    return Step(name, run)


async def nothing(_: Turn) -> Done:
    return Done(3, "did it")


async def test_each_step_is_done_once_a_day(redis: Redis, settings: Settings, connection: asyncpg.Connection) -> None:
    runner = Maintenance(settings, redis)
    assert [outcome.step for outcome in await runner.do_what_is_due()] == [each.name for each in STEPS]
    assert await runner.do_what_is_due() == []
    await connection.execute("UPDATE maintenance SET next_at = now() WHERE step = 'duplicates'")
    (again,) = await Maintenance(settings, redis).do_what_is_due()
    assert (again.step, again.text) == ("duplicates", "kept for ever")
    row = await connection.fetchrow(ROW, "duplicates")
    assert (row["claimed_by"], row["outcome"], row["failure"]) == (None, "kept for ever", None)
    assert timedelta(seconds=DAY_S - 60) < row["next_in"] <= timedelta(seconds=DAY_S)


async def test_one_of_two_runners_does_a_step(redis: Redis, settings: Settings) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def wait(_: Turn) -> Done:
        began.set()
        await may_end.wait()
        return Done(0, "waited")

    steps = (step("long", wait), step("other", nothing))
    first = asyncio.create_task(Maintenance(settings, redis, steps).do_what_is_due())
    await began.wait()
    second = Maintenance(settings, redis, steps)
    assert await second.do_what_is_due() == [], "nor does it do another step meanwhile"
    may_end.set()
    assert [outcome.text for outcome in await first] == ["waited", "did it"]
    assert await second.do_what_is_due() == []


async def test_runners_that_ask_at_once_do_each_step_once(redis: Redis, settings: Settings) -> None:
    ran: list[str] = []

    async def count(turn: Turn) -> Done:
        ran.append(turn.runner)
        return Done(0, "counted")

    steps = tuple(step(f"step {number}", count) for number in range(4))
    await asyncio.gather(*(Maintenance(settings, redis, steps).do_what_is_due() for _ in range(6)))
    await Maintenance(settings, redis, steps).do_what_is_due()
    assert len(ran) == 4


async def test_another_one_goes_on_when_the_runner_died(
    redis: Redis, settings: Settings, connection: asyncpg.Connection
) -> None:
    began = asyncio.Event()

    async def die(_: Turn) -> Done:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    dying = asyncio.create_task(Maintenance(settings, redis, (step("it", die),)).do_what_is_due())
    await began.wait()
    dying.cancel()
    await asyncio.wait({dying})
    living = Maintenance(settings, redis, (step("it", nothing),))
    assert await living.do_what_is_due() == [], "its claim has not run out"
    await connection.execute("UPDATE maintenance SET claimed_until = now()")
    assert [outcome.text for outcome in await living.do_what_is_due()] == ["did it"]


async def test_a_runner_that_lost_its_claim_ends(
    redis: Redis, settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.maintenance.steps.RENEW_S", 0.0)

    async def sleep_for_long(turn: Turn) -> Done:
        await turn.renew()
        other = "UPDATE maintenance SET claimed_by = 'another', claimed_until = now() + interval '1 minute'"
        await connection.execute(other)
        await turn.renew()
        raise AssertionError

    (outcome,) = await Maintenance(settings, redis, (step("it", sleep_for_long),)).do_what_is_due()
    assert outcome.has_failed
    assert await connection.fetchval("SELECT claimed_by FROM maintenance") == "another", "what is its is not ended"


@pytest.mark.parametrize("error", [StepError("the table is in use"), OSError("gone"), ZeroDivisionError("a bug")])
async def test_a_step_that_fails_is_tried_again_soon_and_keeps_no_other_from_running(
    redis: Redis, settings: Settings, connection: asyncpg.Connection, error: Exception
) -> None:
    async def fail(_: Turn) -> Done:
        raise error

    steps = (step("bad", fail), step("good", nothing))
    bad, good = await Maintenance(settings, redis, steps).do_what_is_due()
    assert (bad.has_failed, good.has_failed) == (True, False)
    row = await connection.fetchrow(ROW, "bad")
    assert str(error) in row["failure"]
    assert (row["claimed_by"], row["succeeded_at"]) == (None, None)
    assert row["next_in"] <= timedelta(seconds=FAILED_AGAIN_S)


@pytest.mark.parametrize(
    "call",
    [
        "drop_payload_partition(0)",
        "drop_payload_partition(NULL)",
        "delete_default_payloads(0, 10)",
        "remove_duplicates(0, '1-0', 0, 10)",
        "remove_duplicates(1, NULL, 0, 10)",
        "remove_dead_letters(-1, '1-0', 10)",
    ],
)
async def test_what_is_younger_than_a_day_cannot_be_removed(database_url: str, call: str) -> None:
    async with connect(as_worker(database_url), timeout_s=CONNECT_TIMEOUT_S) as worker:
        with pytest.raises(asyncpg.RaiseError, match="kept for at least a day"):
            await worker.execute(f"SELECT {call}")


async def test_nobody_else_may_call_what_removes(connection: asyncpg.Connection) -> None:
    functions = "SELECT proname FROM pg_proc WHERE prosecdef AND has_function_privilege('pg_monitor', oid, 'EXECUTE')"
    assert await connection.fetch(functions) == []
