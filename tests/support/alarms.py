"""The whole system with a Prometheus that evaluates its rules, and traffic: here each alert's fault is really made."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from consumers.settings import Settings
from contract.keys import Keys
from operations.settings import Settings as OperationsSettings
from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from stack.ports import HOST, free_port
from tests.support import faulty_handlers
from tests.support.child import Child
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, as_worker
from tests.support.events import Signed
from tests.support.gateway import Client, request
from tests.support.harness import GATEWAY_ENV, WORKER_ENV
from tests.support.load import client, deliver
from tests.support.processes import Gateway, Programs
from tests.support.prometheus import LOOK_S, Prometheus, scraping
from tests.support.servers import PostgresServer, ValkeyServer, as_user
from tests.support.short_rules import write_short_rules
from tests.support.stream_states import Said, say, settings_for
from tests.support.traffic import SOURCES, Traffic, of_source
from tests.support.wait import until

PREFIX = "alarms"
EVERY = "500ms"
"""How often Prometheus scrapes and evaluates."""

PATIENT_S = 60.0
"""What waits for a person is counted every 15 s; the rest is a matter of seconds."""

SENDERS = 32
"""Connections of a flood."""

BACKLOG_LIMIT = 10_100
"""A little more than WebhookBacklogGrowing wants to see."""

WORKERS = WORKER_ENV | {
    "HANDLERS": f"{faulty_handlers.__name__}:handlers",
    "HANDLER_BLOCKED_S": "0.3",
    "MAX_ATTEMPTS": "2",
    "PROGRESS_LIMIT_S": "20",
}
"""A worker's progress is shown ten times within PROGRESS_LIMIT_S."""


@dataclass
class Alarms:
    """Everything that runs, and which alerts were seen."""

    valkey: ValkeyServer
    postgres: PostgresServer
    programs: Programs
    folder: Path
    prometheus: Prometheus = field(init=False)
    gateway: Gateway = field(init=False)
    worker: Child = field(init=False)
    traffic: Traffic = field(init=False)
    gateway_port: int = field(default_factory=free_port)
    operators_port: int = field(default_factory=free_port)
    workers_port: int = field(default_factory=free_port)
    fired: set[str] = field(default_factory=set)
    cleared: set[str] = field(default_factory=set)

    @property
    def keys(self) -> Keys:
        return Keys(PREFIX)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def settings(self) -> Settings:
        """What an operator's commands need."""
        sources = self.folder / "sources.toml"
        url = as_user("workers", self.valkey.url)
        return settings_for(url, as_worker(self.postgres.url), PREFIX, sources_file=sources)

    async def fires(self, *names: str, timeout_s: float = PATIENT_S) -> None:
        """Wait until all of these have been seen firing."""
        missing = set(names)

        async def all_were_seen() -> bool:
            missing.difference_update(await self.prometheus.firing())
            return not missing

        await self._seen(all_were_seen, missing, "fires", timeout_s)
        self.fired.update(names)

    async def clears(self, *names: str, timeout_s: float = PATIENT_S) -> None:
        """Wait until none of these fires, each of which was seen firing."""
        assert set(names) <= self.fired, f"never seen firing: {set(names) - self.fired}"
        left = set(names)

        async def none_fires() -> bool:
            firing = await self.prometheus.firing()
            left.clear()
            left.update(set(names) & firing)
            return not left

        await self._seen(none_fires, left, "clears", timeout_s)
        self.cleared.update(names)

    async def _seen(self, condition: Callable[[], object], left: set[str], what: str, timeout_s: float) -> None:
        names, began_s = sorted(left), time.monotonic()
        try:
            await until(condition, timeout_s=timeout_s, what=what, poll_s=LOOK_S)
            print(f"{time.monotonic() - began_s:5.1f} s: {what}: {', '.join(names)}")
        except AssertionError as error:
            raise AssertionError(f"not yet: {what} {sorted(left)}") from error

    async def start_gateway(self, env: Mapping[str, str] | None = None, module: str = "gateway") -> None:
        """Start a gateway on the ports of the one before."""
        ports = {"GATEWAY_OPERATORS_PORT": str(self.operators_port), "BACKLOG_LIMIT": str(BACKLOG_LIMIT)}
        self.gateway = await self.programs.gateway(
            self.valkey.url, PREFIX, GATEWAY_ENV | ports | dict(env or {}), port=self.gateway_port,
            sources_toml=SOURCES, ready=False, module=module,
        )  # fmt: skip

    def start_worker(self, env: Mapping[str, str] | None = None, module: str = "consumers") -> Child:
        """Start one more worker, which shares port and folder of the metrics with the others."""
        folder = self.folder / "metrics"
        folder.mkdir(exist_ok=True)
        servers = {
            "REDIS_URL": as_user("workers", self.valkey.url),
            "DATABASE_URL": as_worker(self.postgres.url),
            "KEY_PREFIX": PREFIX,
            "CONSUMERS_METRICS_PORT": str(self.workers_port),
            "PROMETHEUS_MULTIPROC_DIR": str(folder),
            "SOURCES_FILE": str(self.settings.sources_file),
        }
        return self.programs.start(module, WORKERS | servers | dict(env or {}))

    async def send(self, *signed: Signed, status: int = 202) -> None:
        """Deliver these; each must be answered with this status."""
        async with client() as session:
            for each in signed:
                answer = await deliver(session, self.url, each)
                assert answer.status == status, answer

    async def accepted(self, signed: Signed) -> str:
        """Deliver this one; return the id of its entry."""
        async with client() as session:
            answer = await deliver(session, self.url, signed)
        return str(answer.document["entry_id"])

    async def readyz(self) -> str:
        """What the gateway says of itself to operators."""
        url = f"http://{HOST}:{self.operators_port}/readyz"
        async with client() as session, session.get(url) as answer:
            return await answer.text()

    async def flood(self, events: int) -> None:
        """Deliver that many new events as fast as the gateway takes them."""
        numbers = iter(range(events))

        async def send() -> None:
            async with await Client.connect(self.gateway_port) as sender:
                for number in numbers:
                    signed = of_source("default", f"pay-flood{number}")
                    await sender.send(request(signed.path, signed.body, signed.headers))
                    assert (await sender.answer()).status in (202, 429)

        began_s = time.monotonic()
        await asyncio.gather(*(send() for _ in range(SENDERS)))
        print(f"{time.monotonic() - began_s:5.1f} s: a flood of {events} events")

    async def applies_more(self, events: int) -> None:
        """Wait until that many more events are applied."""
        async with self.database() as connection:
            count = "SELECT count(*) FROM events"
            before = await connection.fetchval(count)

            async def has() -> bool:
                return bool(await connection.fetchval(count) >= before + events)

            await until(has, timeout_s=PATIENT_S, what=f"{events} more events are applied", poll_s=LOOK_S)

    async def is_calm(self) -> None:
        """Wait until nothing fires but the watchdog."""

        async def nothing_fires() -> bool:
            return await self.prometheus.firing() == {"WebhookWatchdog"}

        await until(nothing_fires, timeout_s=PATIENT_S, what="nothing fires", poll_s=LOOK_S)

    async def say(self, *argv: str, code: int = 0) -> Said:
        """Run a command as its runbook says; it must end with this code."""
        said = await say(OperationsSettings.model_construct(**dict(self.settings)), *argv)
        assert said.code == code, said.text
        return said

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """As the operator of Redis."""
        async with Redis.from_url(self.valkey.url, protocol=3) as redis:
            yield redis

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """As the owner of the tables."""
        async with connect(self.postgres.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            yield connection


@asynccontextmanager
async def alarms(folder: Path) -> AsyncIterator[Alarms]:
    """Start everything below a folder."""
    valkey, postgres = ValkeyServer(folder / "valkey"), PostgresServer(folder / "postgres")
    (folder / "sources.toml").write_text(SOURCES)
    async with AsyncExitStack() as stack:
        for server in (valkey, postgres):
            server.start()
            stack.callback(server.kill)
        async with connect(postgres.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            await migrate(connection, lock_wait_s=LOCK_WAIT_S)
            await grant_rights(connection, as_worker(postgres.url))
        programs = stack.enter_context(Programs(folder / "programs"))
        system = Alarms(valkey, postgres, programs, folder)
        await system.start_gateway()
        system.worker = system.start_worker()
        await system.gateway.ready()
        ports = (system.operators_port, system.workers_port)
        system.prometheus = await stack.enter_async_context(
            scraping(folder, ports, write_short_rules(folder), every=EVERY)
        )
        system.traffic = Traffic(system.url)
        sending = asyncio.create_task(system.traffic.run())
        yield system
        system.traffic.end()
        await sending
