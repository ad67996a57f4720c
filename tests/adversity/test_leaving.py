"""A program that is asked to end does so in time whatever hangs, loses nothing, and ends at once when asked again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.hooks import Hook
from contract.keys import Keys
from runtime.leaving import LEAVE_S, REPORT_S
from stack.ports import free_port
from tests.support.child import Child
from tests.support.consuming import Workers
from tests.support.database import as_worker
from tests.support.events import contract_event
from tests.support.gateway import Client, payment, request
from tests.support.processes import Programs
from tests.support.proxy import TcpProxy
from tests.support.receiver import NOTIFY_SECRET
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.silent import DEAD_HOST, silent_server
from tests.support.stream_states import Stream, settings_for
from tests.support.stuck_handlers import STUCK
from tests.support.wait import until
from tests.support.worker_at import is_stopped

DRAIN_S = 1.0

SLACK_S = 4.0
"""What a process may take longer on a loaded machine."""

FAULTS = ("refused", "silent")
EVENTS = 24


class Wires:
    """Both servers, each behind a proxy."""

    def __init__(self, to_redis: TcpProxy, to_postgres: TcpProxy, env: Mapping[str, str]) -> None:
        self._all = (to_redis, to_postgres)
        self.env = dict(env)

    async def fail(self, fault: str) -> None:
        """`refused`: both are stopped. `silent`: nothing is forwarded any more, over old connections or new ones."""
        for wire in self._all:
            if fault == "silent":
                wire.stall()
            else:
                await wire.refuse()
                wire.cut()


@pytest.fixture
def workers(
    redis: Redis, keys: Keys, connection: asyncpg.Connection, valkey: ValkeyServer, database_url: str, key_prefix: str
) -> Workers:
    """What the processes work on, and a rescuer within this process."""
    return Workers(Stream(redis, keys), connection, settings_for(valkey.url, as_worker(database_url), key_prefix))


@asynccontextmanager
async def wired(workers: Workers, valkey: ValkeyServer, postgres: PostgresServer) -> AsyncIterator[Wires]:
    async with TcpProxy(valkey.port) as to_redis, TcpProxy(postgres.port) as to_postgres:
        env = {
            "REDIS_URL": to_redis.url(workers.settings.redis_url.get_secret_value()),
            "DATABASE_URL": to_postgres.url(workers.settings.database_url.get_secret_value()),
            "KEY_PREFIX": workers.settings.key_prefix,
            "CONSUMERS_METRICS_PORT": "0",
            "DRAIN_TIMEOUT_S": str(DRAIN_S),
            "BATCH_SIZE": "1",
        }
        yield Wires(to_redis, to_postgres, env)


async def ends_in_time(child: Child, limit_s: float, codes: Sequence[int] = (0,)) -> None:
    assert await asyncio.to_thread(child.wait, limit_s + LEAVE_S + REPORT_S + SLACK_S) in codes, child.log
    assert "Traceback" not in child.log


async def assert_nothing_is_lost(workers: Workers, count: int) -> None:
    async with workers.working():
        await workers.drained()
    assert len(await workers.events()) == count
    assert await workers.dead() == []
    await workers.assert_all_acked()


@pytest.mark.parametrize("fault", FAULTS)
async def test_workers_end_in_time_at_each_step_while_no_server_answers(
    workers: Workers, programs: Programs, valkey: ValkeyServer, postgres: PostgresServer, fault: str
) -> None:
    for i in range(EVENTS):
        await workers.stream.publish(contract_event(f"evt_{i}", f"pi_{i}"))
    async with wired(workers, valkey, postgres) as wires:
        at_steps = [programs.start("tests.support.worker_at", wires.env, ("SIGSTOP", hook)) for hook in get_args(Hook)]
        for child in at_steps:
            await until(partial(is_stopped, child.pid), what=f"it is frozen: {child.log}")
        await wires.fail(fault)
        begins = programs.start("consumers", wires.env | {"CONSUMERS_METRICS_PORT": str(free_port())})
        if fault == "refused":
            await until(lambda: "cannot start working" in begins.log, what="it waits for Redis")
        else:
            await until(partial(_catches_signals, begins.pid), what="it has begun")
        for child in (*at_steps, begins):
            child.signal(signal.SIGTERM)
            child.resume()
        await asyncio.gather(*(ends_in_time(child, DRAIN_S) for child in (*at_steps, begins)))
    await assert_nothing_is_lost(workers, EVENTS)


def _catches_signals(pid: int) -> bool:
    """Whether the process has a handler of its own for SIGTERM."""
    return _has_sigterm(pid, "SigCgt:")


def _has_sigterm(pid: int, *sets: str) -> bool:
    lines = [line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return any(int(line[1], 16) >> (signal.SIGTERM - 1) & 1 for line in lines if line[0] in sets)


@pytest.mark.parametrize("manner", ["await", "thread", "stubborn"])
async def test_a_worker_ends_in_time_whose_handler_does_not(
    workers: Workers, programs: Programs, valkey: ValkeyServer, postgres: PostgresServer, manner: str
) -> None:
    """Also with a receiver of spans that never answers, and while the handler is tried alone, in the side lane."""
    await workers.stream.publish(contract_event(f"evt_{manner}", "pi_1"))
    port = free_port()
    with silent_server(port):
        async with wired(workers, valkey, postgres) as wires:
            spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{DEAD_HOST}:{port}"} if manner == "await" else {}
            stuck = {"HANDLERS": "tests.support.stuck_handlers:handlers", "HANDLER_TIMEOUT_S": "60"}
            stuck |= {"TRANSACTION_IDLE_S": "120", "LOCK_TTL_MS": "1500"}
            child = programs.start("consumers", wires.env | stuck | spans)
            times = 1 if manner == "stubborn" else 2  # that one cannot be ended to be tried alone
            await until(lambda: child.log.count(STUCK) == times, what="it is stuck, if it can be in the side lane")
            child.signal(signal.SIGTERM)
            await ends_in_time(child, DRAIN_S)
    await assert_nothing_is_lost(workers, 1)


async def test_a_worker_that_is_asked_twice_ends_at_once(
    workers: Workers, programs: Programs, valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    await workers.stream.publish(contract_event("evt_await", "pi_1"))
    async with wired(workers, valkey, postgres) as wires:
        stuck = {"HANDLERS": "tests.support.stuck_handlers:handlers", "DRAIN_TIMEOUT_S": "600"}
        child = programs.start("consumers", wires.env | stuck)
        await until(lambda: STUCK in child.log, what="it is stuck")
        child.signal(signal.SIGTERM)
        await until(lambda: not _has_sigterm(child.pid, "SigPnd:", "ShdPnd:"), what="it knows that it is to end")
        child.signal(signal.SIGINT)
        await ends_in_time(child, 0, codes=(128 + signal.SIGINT,))
    await assert_nothing_is_lost(workers, 1)


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_other_programs_end_in_time_while_no_server_answers(
    workers: Workers, programs: Programs, valkey: ValkeyServer, postgres: PostgresServer, fault: str
) -> None:
    async with wired(workers, valkey, postgres) as wires:
        own = {"SHUTDOWN_TIMEOUT_S": str(DRAIN_S), "CONSOLE_PORT": str(free_port())}
        own |= {"NOTIFY_URL": f"http://127.0.0.1:{free_port()}/", "NOTIFY_SECRET": NOTIFY_SECRET}
        env = wires.env | own
        gateways = [
            await programs.gateway(env["REDIS_URL"], env["KEY_PREFIX"], env | {"GATEWAY_PROCESSES": count})
            for count in ("1", "2")
        ]
        others = [programs.start("operations", env, (command,)) for command in ("console", "notify", "tail")]
        for child in others:
            await until(partial(_catches_signals, child.pid), what=f"it has begun: {child.log}")
        await wires.fail(fault)
        migrating = programs.start("sql", env | {"MIGRATE_WAIT_S": "600"}, ("migrate",))
        await until(partial(_catches_signals, migrating.pid), what="it has begun")
        clients = [await Client.connect(gateway.port) for gateway in gateways]
        for client in clients:
            signed = payment(1)
            await client.send(request(signed.path, signed.body, signed.headers))
        for child in (*gateways, *others, migrating):
            child.signal(signal.SIGTERM)
        await asyncio.gather(
            *(ends_in_time(child, DRAIN_S, codes=(0, 1)) for child in gateways),
            *(ends_in_time(child, 2.0) for child in others),
            ends_in_time(migrating, 0, codes=(128 + signal.SIGTERM,)),
        )
        for client in clients:
            client.writer.close()


async def test_a_gateway_that_is_asked_twice_ends_its_processes_at_once(
    valkey: ValkeyServer, programs: Programs
) -> None:
    gateway = await programs.gateway(
        valkey.url, "twice", {"GATEWAY_PROCESSES": "2", "SHUTDOWN_TIMEOUT_S": "600", "BODY_TIMEOUT_S": "500"}
    )
    async with await Client.connect(gateway.port) as client:
        signed = payment(1)
        await client.send(request(signed.path, signed.body, signed.headers)[:-1])
        gateway.signal(signal.SIGTERM)
        await until(lambda: "the gateway stops" in gateway.log, what="it waits for the rest of the body")
        began_s = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait) == 1
        assert time.monotonic() - began_s < SLACK_S
