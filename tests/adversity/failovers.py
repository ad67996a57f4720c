"""Failovers under load: a standby takes over, the address moves, and the old server lives on for a while."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from sql.connect import connect
from stack.ports import HOST
from tests.adversity.faults import Fault
from tests.support.failover import replicate
from tests.support.harness import CONNECT_TIMEOUT_S, Harness
from tests.support.replica import base_backup
from tests.support.servers import ValkeyServer
from tests.support.wait import until

CATCH_UP_TIMEOUT_MS = 10_000


@asynccontextmanager
async def redis_fails_over(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    """A planned failover, which loses nothing: the old server becomes a replica of the new one."""
    old = harness.valkey
    new = ValkeyServer(_folder(harness, rng), password=old.password)
    harness.standbys.append(new)
    new.start()
    await replicate(new, old)
    async with harness.redis() as redis:
        await redis.execute_command(  # type: ignore[no-untyped-call]
            "FAILOVER", "TO", HOST, new.port, "TIMEOUT", CATCH_UP_TIMEOUT_MS
        )
    await until(lambda: _is_primary(new), what="the standby has taken over")
    for wire in (harness.gateway_to_redis, harness.worker_to_redis):
        wire.target_port = new.port
    harness.valkey = new
    yield
    old.kill()


async def _is_primary(server: ValkeyServer) -> bool:
    async with Redis.from_url(server.url, protocol=2) as redis:
        return bool((await redis.info("replication"))["role"] == "master")


@asynccontextmanager
async def postgres_fails_over(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    """A synchronous standby is promoted. The old primary lives on: what it cannot replicate, it cannot commit."""
    old = harness.postgres
    new = base_backup(old, _folder(harness, rng))
    harness.standbys.append(new)
    new.start()
    async with connect(old.url, timeout_s=CONNECT_TIMEOUT_S) as primary:
        await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await primary.execute("SELECT pg_reload_conf()")
        synced = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        await until(lambda: primary.fetchval(synced), what="the standby is in sync")
    async with connect(new.url, timeout_s=CONNECT_TIMEOUT_S) as standby:
        assert await standby.fetchval("SELECT pg_promote()")
    harness.worker_to_postgres.target_port = new.port
    harness.database_url = harness.database_url.replace(f":{old.port}/", f":{new.port}/")
    harness.postgres = new
    yield
    old.kill()


def _folder(harness: Harness, rng: random.Random) -> Path:
    return harness.programs.folder / f"standby-{rng.getrandbits(32):08x}"


FAILOVERS: dict[str, Fault] = {"redis fails over": redis_fails_over, "postgres fails over": postgres_fails_over}
