"""Servers that move while a worker has connections to the old ones: it follows the address, and applies what waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumers.address_watch import AddressWatch
from sql.connect import connect
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.failover import HEALED_S, moving_redis
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.stream_states import Stream
from tests.support.wait import until


@pytest.mark.parametrize("old_becomes_replica", [True, False], ids=["old-is-replica", "old-is-still-a-primary"])
async def test_a_worker_follows_redis_to_another_server(
    workers: Workers, private_valkey: ValkeyServer, tmp_path: Path, old_becomes_replica: bool
) -> None:
    async with (
        moving_redis(private_valkey, tmp_path) as moving,
        Redis.from_url(moving.new.url, protocol=2) as new,
        workers.working(redis_url=SecretStr(moving.url)),
    ):
        await until(lambda: new.exists(workers.keys.events), what="the worker's group is replicated")
        await moving.move(old_becomes_replica=old_becomes_replica)
        await Stream(new, workers.keys).publish(contract_event("evt_0", "pi_0"))
        await until(lambda: workers.has_applied(1), timeout_s=HEALED_S, what="the event is applied")


@asynccontextmanager
async def moving_postgres(old: PostgresServer, folder: Path) -> AsyncIterator[tuple[TcpProxy, PostgresServer]]:
    """Yield the address of a PostgreSQL, and a promoted copy that it may lead to."""
    old.stop()
    new = old.copy(folder / "promoted")
    await old.restart()
    new.start()
    try:
        async with TcpProxy(old.port) as address:
            yield address, new
    finally:
        new.kill()


async def count_events(server: PostgresServer) -> int:
    async with connect(server.url, timeout_s=5) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM events"))


@pytest.mark.parametrize("old_refuses", [True, False], ids=["old-is-read-only", "old-is-still-a-primary"])
async def test_a_worker_follows_postgres_to_another_server(
    workers: Workers, private_postgres: PostgresServer, tmp_path: Path, old_refuses: bool
) -> None:
    async with moving_postgres(private_postgres, tmp_path) as (address, new):
        url = SecretStr(address.url(private_postgres.url))
        async with workers.working(database_url=url, max_attempts=1):
            await workers.publish(1)
            await until(lambda: has_events(private_postgres, 1), what="the first event is applied")
            if old_refuses:
                async with connect(private_postgres.url, timeout_s=5) as operator:
                    await operator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
                    await operator.execute("SELECT pg_reload_conf()")
            address.target_port = new.port
            number = iter(range(1, 10_000))

            async def reaches_the_new_server() -> bool:
                await workers.publish(1, first=next(number))
                return await has_events(new, 1)

            await until(reaches_the_new_server, timeout_s=HEALED_S, what="events are applied on the new server")
            await workers.drained()


async def has_events(server: PostgresServer, at_least: int) -> bool:
    return await count_events(server) >= at_least


async def test_a_server_that_does_not_answer_is_no_move() -> None:
    identities = iter(["a", OSError("down"), "a", OSError("down"), "b", "b"])
    moves: list[str] = []

    async def identity() -> str:
        match next(identities):
            case OSError() as error:
                raise error
            case text:
                return str(text)

    async def moved() -> None:
        moves.append("moved")

    watch = AddressWatch("a server", identity, moved)
    for _ in range(4):
        await watch.look()
    assert moves == []
    for _ in range(2):
        await watch.look()
    assert moves == ["moved"]
