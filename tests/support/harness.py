"""The whole system as real processes around a private Valkey and PostgreSQL, with a breakable wire on every link."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import asyncpg
from redis.asyncio import Redis

from consumers.stream_stats import every_partition
from contract.keys import Keys
from runtime.redis_address import CLUSTER_SCHEMES
from sql.connect import connect
from tests.support.checker import broken_rules, check_promises, drained, reading
from tests.support.child import Child
from tests.support.database import as_worker
from tests.support.events import SOURCES_TOML
from tests.support.history import History
from tests.support.load import Load
from tests.support.processes import Gateway, Programs
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, Server, ValkeyServer, as_user

PREFIX = "harness"
CONNECT_TIMEOUT_S = 10.0

GATEWAY_ENV = {
    "DURABILITY_CHECK_S": "0.2",
    "DURABILITY_TIMEOUT_S": "0.5",
    "REDIS_TIMEOUT_S": "1",
    "RETRY_AFTER_S": "1",
}
"""Limits as a test can wait for them; production's are many times that."""

REPLICATED_ENV = {
    "DURABILITY": "fsync+replica", "DURABILITY_CHECK_S": "2", "DURABILITY_TIMEOUT_S": "3", "REDIS_TIMEOUT_S": "5",
}  # fmt: skip
"""Of gateways that answer once an event is on replicas too, as production has it: several servers take their time."""

WORKER_ENV = {
    "ACQUIRE_TIMEOUT_S": "2",
    "BLOCK_MS": "100",
    "CLAIM_IDLE_MS": "1500",
    "HANDLER_TIMEOUT_S": "1.5",
    "LOCK_TTL_MS": "1000",
    "OUTAGE_DELAY_MAX_MS": "500",
    "OUTAGE_DELAY_MS": "50",
    "REDIS_TIMEOUT_S": "1",
    "RETRY_DELAY_MAX_MS": "200",
    "RETRY_DELAY_MS": "20",
    "ROW_LOCK_TIMEOUT_S": "1",
    "SLOT_TTL_MS": "1000",
    "STATEMENT_TIMEOUT_S": "3",
    "TRANSACTION_IDLE_S": "2",
}


SIGNS_OF_A_BUG = ("Traceback (most recent call last)", "a bug:")


@dataclass
class Harness:
    """Everything that runs. Gateways and workers go through the wires; the test itself goes straight to the servers."""

    valkey: ValkeyServer
    postgres: PostgresServer
    database_url: str
    programs: Programs
    history: History
    prefix: str = PREFIX
    redis_url: str = ""
    """Where programs find Redis instead, without a wire: behind sentinels, say. `valkey` is the server of now."""
    gateway_env: Mapping[str, str] = field(default_factory=dict)
    sources_toml: str = SOURCES_TOML
    worker_env: Mapping[str, str] = field(default_factory=dict)
    gateways: list[Gateway] = field(default_factory=list)
    workers: list[Child] = field(default_factory=list)
    standbys: list[Server] = field(default_factory=list)
    """Servers that a failover has started."""
    gateway_to_redis: TcpProxy = field(init=False)
    worker_to_redis: TcpProxy = field(init=False)
    worker_to_postgres: TcpProxy = field(init=False)

    def __post_init__(self) -> None:
        self.gateway_to_redis = TcpProxy(self.valkey.port)
        self.worker_to_redis = TcpProxy(self.valkey.port)
        self.worker_to_postgres = TcpProxy(self.postgres.port)

    @property
    def keys(self) -> Keys:
        return Keys(self.prefix)

    @property
    def partitions(self) -> int:
        """Among how many partitions gateways share the events."""
        return int(self.gateway_env.get("PARTITIONS", "1"))

    @property
    def all_redis_url(self) -> str:
        """Where the test itself finds all of Redis: the server of now, or the nodes of a cluster."""
        return self.redis_url if self.redis_url.startswith(CLUSTER_SCHEMES) else self.valkey.url

    @property
    def urls(self) -> list[str]:
        """Where senders may deliver; a provider does not know which of them work."""
        return [gateway.url for gateway in self.gateways]

    async def add_gateways(self, n: int, env: Mapping[str, str] | None = None, *, ready: bool = True) -> None:
        """`n` more gateways."""
        settings = GATEWAY_ENV | dict(self.gateway_env) | dict(env or {})
        url = self.redis_url or self.gateway_to_redis.url(self.valkey.url)
        for _ in range(n):
            self.gateways.append(
                await self.programs.gateway(url, self.prefix, settings, sources_toml=self.sources_toml, ready=ready)
            )

    async def add_workers(self, n: int, env: Mapping[str, str] | None = None) -> list[Child]:
        """`n` more workers, once each has leased its slot."""
        settings = WORKER_ENV | dict(self.worker_env) | dict(env or {})
        servers = self.servers_env
        added = await self.programs.consumers(
            servers["REDIS_URL"], servers["DATABASE_URL"], self.prefix, n, settings, seen_at=self.all_redis_url
        )
        self.workers += added
        return added

    def start_worker(self, env: Mapping[str, str] | None = None) -> Child:
        """One more worker; returns at once, whether its servers are there or not."""
        settings = self.servers_env | WORKER_ENV | dict(self.worker_env) | dict(env or {})
        worker = self.programs.start("consumers", settings)
        self.workers.append(worker)
        return worker

    @property
    def servers_env(self) -> dict[str, str]:
        """Where a worker finds its servers: through the wires."""
        return {
            "REDIS_URL": as_user("workers", self.redis_url or self.worker_to_redis.url(self.valkey.url)),
            "DATABASE_URL": self.worker_to_postgres.url(as_worker(self.database_url)),
            "KEY_PREFIX": self.prefix,
            "CONSUMERS_METRICS_PORT": "0",
            "GATEWAY_OPERATORS_PORT": "0",
        }

    async def restart_gateway(self, gateway: Gateway) -> None:
        """Another one takes a dead gateway's place and port; returns at once."""
        settings = GATEWAY_ENV | dict(self.gateway_env)
        url = self.redis_url or self.gateway_to_redis.url(self.valkey.url)
        new = await self.programs.gateway(
            url, self.prefix, settings, port=gateway.port, sources_toml=self.sources_toml, ready=False
        )
        self.gateways[self.gateways.index(gateway)] = new

    async def stop_worker(self, worker: Child) -> None:
        """As an operator does: it ends in its own time, with nothing to complain about."""
        self.workers.remove(worker)
        code = await worker.stopped()
        assert code == 0, f"{worker.name} ended with {code}:\n{worker.log}"

    def replace_worker(self, worker: Child) -> Child:
        """Another one takes a dead worker's place; returns at once."""
        self.workers.remove(worker)
        return self.start_worker()

    @asynccontextmanager
    async def load(
        self, *, seed: int = 1, senders: int = 12, copies: int = 2, prefix: str = "pi", payments: int | None = None
    ) -> AsyncIterator[Load]:
        """Senders that go on while the block breaks things; at its end, until everything they sent was promised.

        With `payments` they send those to the end.
        """
        load = Load(
            lambda: self.urls,
            self.history,
            seed=seed,
            senders=senders,
            copies=copies,
            prefix=prefix,
            payments=payments,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            yield load
            if payments is None:
                load.finish()

    async def check_promises(self, *, one_202_each: bool = True) -> list[str]:
        """Every broken promise, once all is drained; and every program that has fallen over."""
        urls = self.all_redis_url, self.database_url
        broken = await check_promises(self.history, *urls, self.prefix, one_202_each=one_202_each)
        return [*broken, *self.fallen()]

    def fallen(self) -> list[str]:
        """Programs that have ended by themselves, or met an exception that they did not expect."""
        ended = [child for child in [*self.gateways, *self.workers] if not child.is_running]
        raised = [child for child in self.programs.children if any(sign in child.log for sign in SIGNS_OF_A_BUG)]
        return [
            *(f"fallen: {child.name} has ended by itself" for child in ended),
            *(f"a bug: {child.name} met an exception that it did not expect" for child in raised),
        ]

    async def drained(self) -> None:
        """Waits until nothing is in the stream, and nothing pending."""
        await drained(self.all_redis_url, self.prefix)

    async def has_applied(self, at_least: int) -> bool:
        """Whether this many events are applied, at the server that the address leads to now."""
        async with self.database() as connection:
            return bool(await connection.fetchval("SELECT count(*) >= $1 FROM events", at_least))

    async def is_empty(self) -> bool:
        """Whether nothing is in the stream."""
        async with self.redis() as redis:
            return not sum([await redis.xlen(each.events) for each in await every_partition(redis, self.keys)])

    async def broken_rules(self) -> list[str]:
        """What the audit says now."""
        return await broken_rules(self.all_redis_url, self.database_url, self.prefix)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Straight to Postgres."""
        async with connect(self.database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            yield connection

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Straight to Valkey, to all nodes of a cluster."""
        async with reading(self.all_redis_url) as redis:
            yield redis

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for wire in self.wires:
                await stack.enter_async_context(wire)
            self._wires = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in [*self.gateways, *self.workers]:
            child.kill()
        for standby in self.standbys:
            standby.kill()
        await self._wires.aclose()

    @property
    def wires(self) -> tuple[TcpProxy, TcpProxy, TcpProxy]:
        return (self.gateway_to_redis, self.worker_to_redis, self.worker_to_postgres)
