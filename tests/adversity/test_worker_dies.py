"""Workers as real processes that are killed or frozen at each step of a batch: every event is applied once."""

import signal
from typing import get_args

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.hooks import Hook
from contract.keys import COMMITTED, Keys
from tests.support.child import Child
from tests.support.consuming import QUICK_ENV, Workers
from tests.support.database import as_worker
from tests.support.events import contract_event
from tests.support.processes import Programs
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until
from tests.support.worker_at import is_stopped

EVENTS = 12
COPIES = 3

ROWS = """
    SELECT payment_id, status, amount, captured, contradicted FROM payments
    WHERE (status, amount, captured, contradicted) IS DISTINCT FROM ('succeeded', 1999, 1999, false)
"""


@pytest.fixture
def workers(
    redis: Redis, keys: Keys, connection: asyncpg.Connection, valkey: ValkeyServer, database_url: str, key_prefix: str
) -> Workers:
    """The streams and rows that the processes work on; and rescuers within this process."""
    return Workers(Stream(redis, keys), connection, settings_for(valkey.url, as_worker(database_url), key_prefix))


def start(workers: Workers, programs: Programs, *arguments: str) -> Child:
    """A worker as a process; with arguments, one that is stopped or killed at a step."""
    env = QUICK_ENV | {
        "REDIS_URL": workers.settings.redis_url.get_secret_value(),
        "DATABASE_URL": workers.settings.database_url.get_secret_value(),
        "KEY_PREFIX": workers.settings.key_prefix,
        "CONSUMERS_METRICS_PORT": "0",
    }
    return programs.start("tests.support.worker_at" if arguments else "consumers", env, arguments)


async def publish(workers: Workers, n: int = EVENTS, *, first: int = 0, copies: int = COPIES) -> None:
    """Events of as many payments, and copies of the first ones, as when the gateway's markers were lost."""
    for i in [*range(first, first + n), *range(first, first + copies)]:
        await workers.stream.publish(contract_event(f"evt_{i}", f"pi_{i}"))


async def assert_exact(workers: Workers, events: int = EVENTS, copies: int = COPIES) -> None:
    assert len(await workers.events()) == events
    assert len(await workers.rows("SELECT FROM duplicates")) == copies
    assert await workers.row("SELECT count(*) FROM payments") == (events,)
    assert await workers.rows(ROWS) == []
    assert await workers.dead() == []
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_0")) == COMMITTED
    await workers.assert_all_acked()


# Killed.


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_worker_killed_at_any_hook_loses_nothing(workers: Workers, programs: Programs, hook: Hook) -> None:
    await publish(workers)
    victim = start(workers, programs, "SIGKILL", hook)
    await until(lambda: not victim.is_running, what=f"it is dead at {hook}")
    assert victim.wait() == -signal.SIGKILL
    lease = await workers.redis.get(workers.keys.slot(1))
    is_committed = hook in ("committed", "acked")
    assert len(await workers.events()) == (EVENTS if is_committed else 0)
    async with workers.working():
        await workers.drained()
        await until(lambda: has_only_living_names(workers, lease), what="the dead worker's name is forgotten")
    await assert_exact(workers)
    assert await workers.consumers() == []


async def has_only_living_names(workers: Workers, lease: bytes | str | None) -> bool:
    """The dead one's lease has expired, and its name went with it unless the rescuer has it now."""
    if lease and await workers.redis.get(workers.keys.slot(1)) == lease:
        return False
    living = [name for name in ("worker-1", "worker-2") if not await lacks(workers, workers.keys.slot(int(name[-1])))]
    return living == await workers.consumers() and len(living) == 1


async def are_at_work(workers: Workers, count: int) -> bool:
    return len(await workers.redis.keys(f"{workers.keys.slot(1)[:-1]}*")) == count


async def test_workers_killed_one_after_the_other_lose_nothing(workers: Workers, programs: Programs) -> None:
    """Every victim takes over what the one before has left, and dies one hook later."""
    await publish(workers)
    for hook in ("read", "locked", "claimed", "applied"):
        victim = start(workers, programs, "SIGKILL", hook)
        assert victim.wait() == -signal.SIGKILL
    rescuers = [start(workers, programs) for _ in range(2)]
    await until(lambda: are_at_work(workers, len(rescuers)), what="both rescuers have begun")
    await workers.drained()
    for rescuer in rescuers:
        assert rescuer.stop() == 0
    await assert_exact(workers)
    assert await workers.consumers() == []


# Frozen past the life of its locks, its slot and its claim on its entries, while another takes over; then thawed.


@pytest.mark.parametrize("hook", ["read", "locked", "claimed", "applied", "committed"])
@pytest.mark.parametrize("same_name", [True, False], ids=["its name is another's", "its name is free"])
async def test_a_worker_frozen_at_any_hook_changes_nothing_when_it_wakes(
    workers: Workers, programs: Programs, hook: Hook, *, same_name: bool
) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    busy_entry = await workers.stream.publish(busy)
    await publish(workers)
    zombie = start(workers, programs, "SIGSTOP", hook)
    await until(lambda: is_stopped(zombie.pid), what=f"it stands still at {hook}")
    await until(lambda: lacks(workers, workers.keys.slot(1)), what="its slot has expired")
    if not same_name:
        await workers.redis.set(workers.keys.slot(1), "worker-1:somebody else", px=60_000)

    async with workers.working():
        rescuer = "worker-1" if same_name else "worker-2"
        await until(lambda: has_left(workers, busy_entry), what="the rescuer has applied all but the busy one")
        assert len(await workers.events()) == EVENTS
        assert (await workers.pending())[busy_entry][0] == rescuer
        zombie.resume()
        await until(lambda: workers.redis.exists(workers.keys.slot(3 - same_name)), what="the zombie begins anew")
        assert (await workers.pending())[busy_entry][0] == rescuer, "the zombie stole the entry back"
        await publish(workers, first=100, copies=0)
        await until(lambda: has_left(workers, busy_entry), what="both go on working")
    await workers.redis.delete(workers.keys.slot(1), workers.keys.lock("stripe", "pi_busy"))
    await publish(workers, first=200, copies=0)
    await workers.drained()
    await until(lambda: has_one_name(workers), what="the rescuer's name is forgotten")
    assert zombie.stop() == 0
    assert "Traceback" not in zombie.log
    await assert_exact(workers, events=3 * EVENTS + 1)
    assert await workers.consumers() == []


async def has_one_name(workers: Workers) -> bool:
    return len(await workers.consumers()) == 1


async def lacks(workers: Workers, key: str) -> bool:
    return not await workers.redis.exists(key)


async def has_left(workers: Workers, entry_id: str) -> bool:
    return list(await workers.stream.entries()) == [entry_id]


# Asked to stop.


async def test_a_worker_asked_to_stop_ends_well_and_leaves_no_name(workers: Workers, programs: Programs) -> None:
    await publish(workers)
    worker = start(workers, programs)
    await workers.drained()
    assert worker.stop() == 0
    assert "Traceback" not in worker.log
    assert await workers.consumers() == []
    assert await lacks(workers, workers.keys.slot(1))
    await assert_exact(workers)


async def test_a_worker_asked_to_stop_where_nothing_answers_ends_well(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nowhere = f"unix://{tmp_path_factory.mktemp('nowhere')}/redis.sock"
    env = QUICK_ENV | {
        "REDIS_URL": nowhere,
        "DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
        "CONSUMERS_METRICS_PORT": "0",
    }
    worker = programs.start("consumers", env)
    await until(lambda: "cannot start working" in worker.log, what="it says that it waits")
    assert worker.stop() == 0
    assert "Traceback" not in worker.log


async def test_settings_that_cannot_be_used_are_told_without_what_is_secret(programs: Programs) -> None:
    env = {"REDIS_URL": "ftp://:hush@nowhere", "DATABASE_URL": "postgresql://:hush@nowhere/x", "BATCH_SIZE": "many"}
    code, _, errors = await programs.run("consumers", env)
    assert code == 2
    assert "BATCH_SIZE" in errors
    assert "REDIS_URL" in errors
    assert "hush" not in errors
    assert "Traceback" not in errors
