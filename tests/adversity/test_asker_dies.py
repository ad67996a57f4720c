"""Workers that die while they ask an API: each event is booked once, as the API says, and none is lost."""

import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import get_args

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.hooks import AskHook
from contract.event import Event
from contract.keys import Keys
from tests.support.child import Child
from tests.support.confirming import TRANSFERS
from tests.support.consuming import QUICK_ENV, Workers
from tests.support.database import as_worker
from tests.support.operator_commands import captured, unsigned
from tests.support.processes import Programs
from tests.support.servers import ValkeyServer
from tests.support.stand_ins.objects import KEY, Objects
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until

EVENTS = 5


@pytest.fixture
def workers(
    redis: Redis, keys: Keys, connection: asyncpg.Connection, valkey: ValkeyServer, database_url: str, key_prefix: str
) -> Workers:
    """The stream and rows that the processes work on."""
    return Workers(Stream(redis, keys), connection, settings_for(valkey.url, as_worker(database_url), key_prefix))


@pytest.fixture
async def api() -> AsyncIterator[Objects]:
    async with Objects().serving() as server:
        yield server


def start(workers: Workers, programs: Programs, api: Objects, folder: Path, *arguments: str) -> Child:
    """Start a worker that asks, as a process; with arguments, one that is killed at a step."""
    sources = folder / "sources.toml"
    sources.write_text(
        f'[stripe]\nprovider = "stripe"\nconfirm = "api"\napi_key = "{KEY}"\napi_url = "{api.url}"\n'
    )  # fmt: skip
    env = QUICK_ENV | {
        "REDIS_URL": workers.settings.redis_url.get_secret_value(),
        "DATABASE_URL": workers.settings.database_url.get_secret_value(),
        "KEY_PREFIX": workers.settings.key_prefix,
        "CONSUMERS_METRICS_PORT": "0",
        "SOURCES_FILE": str(sources),
    }
    return programs.start("tests.support.confirming_worker", env, arguments)


async def publish(workers: Workers, api: Objects) -> Sequence[Event]:
    events = unsigned(*(captured(700, f"evt_{number}", f"pi_{number}") for number in range(EVENTS)))
    api.has(*events)
    for event in events:
        await workers.stream.publish(event)
    return events


@pytest.mark.parametrize("hook", get_args(AskHook))
async def test_a_worker_that_dies_while_it_asks_loses_nothing(
    workers: Workers, programs: Programs, api: Objects, tmp_path: Path, hook: AskHook
) -> None:
    await publish(workers, api)
    victim = start(workers, programs, api, tmp_path, "SIGKILL", hook)
    await until(lambda: not victim.is_running, what=f"it is dead at {hook}")
    assert victim.wait() == -signal.SIGKILL
    if hook == "fetched":
        assert await workers.rows(TRANSFERS) == []
    else:
        assert await workers.rows(TRANSFERS)
    start(workers, programs, api, tmp_path)

    async def all_are_confirmed() -> bool:
        return await workers.rows("SELECT count(*) FROM confirmations WHERE state = 'confirmed'") == [(EVENTS,)]

    await until(all_are_confirmed, what="the other one has asked for all of them")
    await workers.drained()
    expected = [(f"capture:pi_{number}", 700, "EUR") for number in range(EVENTS)]
    assert await workers.rows(TRANSFERS) == expected
    await workers.assert_all_acked()
