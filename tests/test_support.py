"""The test helpers keep their word: a killed server comes back with its data, a proxy breaks what it says it breaks."""

import asyncio
import time
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sql.connect import connect
from tests.support.database import fresh_database
from tests.support.ordering import begin_with_long
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import until

TIMEOUT_S = 0.3
FRESH_DATABASE_S_MAX = 1.0


def client(url: str) -> Redis:
    return Redis.from_url(url, protocol=3, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0))


async def test_a_killed_valkey_comes_back_with_what_it_confirmed(private_valkey: ValkeyServer) -> None:
    async with client(private_valkey.url) as redis:
        await redis.set("a", "1")
        private_valkey.kill()
        with pytest.raises(RedisConnectionError):
            await redis.get("a")
        await private_valkey.restart()
        assert await redis.get("a") == b"1"


async def test_a_paused_valkey_answers_late(private_valkey: ValkeyServer) -> None:
    async with client(private_valkey.url) as redis:
        await redis.set("a", "1")
        private_valkey.pause()
        with pytest.raises(RedisTimeoutError):
            await redis.get("a")
        private_valkey.resume()
        assert await redis.get("a") == b"1"


async def test_a_killed_postgres_comes_back_with_what_it_committed(private_postgres: PostgresServer) -> None:
    async with connect(private_postgres.url, timeout_s=5) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        private_postgres.kill()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetch("SELECT * FROM kept")
    await private_postgres.restart()
    async with connect(private_postgres.url, timeout_s=5) as connection:
        assert await connection.fetchval("SELECT one FROM kept") == 1


async def test_a_paused_postgres_hangs_in_the_middle_of_a_session(private_postgres: PostgresServer) -> None:
    async with connect(private_postgres.url, timeout_s=5) as connection:
        private_postgres.pause()
        query = asyncio.ensure_future(connection.fetchval("SELECT 1"))
        assert not (await asyncio.wait([query], timeout=TIMEOUT_S))[0]
        private_postgres.resume()
        assert await query == 1


async def test_each_test_has_a_migrated_database_within_milliseconds(
    connection: asyncpg.Connection, postgres_with_template: PostgresServer
) -> None:
    started = time.monotonic()
    async with fresh_database(postgres_with_template) as url, connect(url, timeout_s=5) as another:
        assert time.monotonic() - started < FRESH_DATABASE_S_MAX
        assert await another.fetchval("SELECT count(*) FROM events") == 0
        assert await another.fetchval("SELECT current_database()") != await connection.fetchval(
            "SELECT current_database()"
        )


async def test_the_proxy_cuts(valkey: ValkeyServer, key_prefix: str) -> None:
    async with TcpProxy(valkey.port) as proxy, client(proxy.url(valkey.url)) as redis:
        await redis.set(key_prefix, "1")
        proxy.cut()
        with pytest.raises(RedisConnectionError):
            await redis.get(key_prefix)
        assert await redis.get(key_prefix) == b"1"
        assert proxy.connections_total == 2


async def test_the_proxy_stalls_and_then_delivers(valkey: ValkeyServer, redis: Redis, key_prefix: str) -> None:
    async with TcpProxy(valkey.port) as proxy, client(proxy.url(valkey.url)) as through:
        await through.ping()
        proxy.stall()
        with pytest.raises(RedisTimeoutError):
            await through.set(key_prefix, "1")
        assert await redis.get(key_prefix) is None
        proxy.resume()
        await through.set(key_prefix, "2")
        assert await redis.get(key_prefix) == b"2"


async def test_the_proxy_loses_replies_of_what_was_done(valkey: ValkeyServer, redis: Redis, key_prefix: str) -> None:
    async with TcpProxy(valkey.port) as proxy, client(proxy.url(valkey.url)) as through:
        await through.ping()
        proxy.drop_replies()
        with pytest.raises(RedisTimeoutError):
            await through.set(key_prefix, "1")
        assert await redis.get(key_prefix) == b"1"
        proxy.resume()
        assert await through.get(key_prefix) == b"1"


async def test_the_proxy_closes_one_half(valkey: ValkeyServer, redis: Redis, key_prefix: str) -> None:
    async with TcpProxy(valkey.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"AUTH {valkey.password}\r\n".encode())
        assert await reader.readline() == b"+OK\r\n"
        proxy.half_close()
        assert await reader.read() == b""
        writer.write(f"SET {key_prefix} 1\r\n".encode())
        assert await until(lambda: redis.get(key_prefix), what="what is sent still arrives") == b"1"
        writer.close()
        await writer.wait_closed()


async def test_the_proxy_refuses_and_accepts_again(valkey: ValkeyServer) -> None:
    async with TcpProxy(valkey.port) as proxy, client(proxy.url(valkey.url)) as redis:
        await redis.ping()
        await proxy.refuse()
        await redis.ping()
        proxy.cut()
        with pytest.raises(RedisConnectionError):
            await redis.ping()
        with pytest.raises(RedisConnectionError):
            await redis.ping()
        await proxy.start()
        assert await redis.ping()


def test_each_process_begins_with_its_share_of_the_long_tests_and_files_stay_whole() -> None:
    files = [f"{folder}/test_{number}.py" for folder in ("end_to_end", "providers", "stack") for number in range(4)]
    tests = [SimpleNamespace(path=Path(file)) for file in files for _ in range(3)]
    ordered = begin_with_long(tests, 2)
    assert sorted(map(id, ordered)) == sorted(map(id, tests))
    assert [file.as_posix() for file, _ in groupby(test.path for test in ordered)] == [
        "end_to_end/test_0.py", "end_to_end/test_2.py", "stack/test_0.py", "stack/test_2.py",
        "providers/test_0.py", "providers/test_1.py",
        "stack/test_1.py", "stack/test_3.py", "end_to_end/test_1.py", "end_to_end/test_3.py",
        "providers/test_2.py", "providers/test_3.py",
    ]  # fmt: skip
