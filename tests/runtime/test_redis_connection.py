"""The one Redis connection: what it sends and reads, and how it reports a closed connection."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from runtime.redis_connection import client, single_connection
from runtime.redis_wire import OwnConnection, describe_reply, exchange
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

TIMEOUT_S = 5.0


def connection_to(url: str) -> OwnConnection:
    return single_connection(SecretStr(url), connect_timeout_s=TIMEOUT_S)


def client_of(url: str, timeout_s: float = TIMEOUT_S, blocks_ms: int = 0) -> Redis:
    return client(SecretStr(url), timeout_s=timeout_s, name="a-test", blocks_ms=blocks_ms)


async def test_an_exchange_connects_and_returns_every_reply_as_bytes(valkey: ValkeyServer, key_prefix: str) -> None:
    connection = connection_to(valkey.url)
    assert not connection.is_connected
    replies = await exchange(connection, [("SET", key_prefix, b"\xff\x00"), ("GET", key_prefix), ("DEL", key_prefix)])
    assert replies == [b"OK", b"\xff\x00", 1]
    assert connection.is_connected
    await connection.disconnect()


async def test_an_error_that_the_server_answers_is_a_reply(valkey: ValkeyServer) -> None:
    connection = connection_to(valkey.url)
    error, pong = await exchange(connection, [("NOSUCHCOMMAND",), ("PING",)])
    assert isinstance(error, ResponseError)
    assert pong == b"PONG"
    assert await exchange(connection, [("ECHO", "again")]) == [b"again"]
    await connection.disconnect()


async def test_a_server_that_closes_instead_of_replying_is_an_error(valkey: ValkeyServer) -> None:
    async with TcpProxy(valkey.port) as proxy:
        connection = connection_to(proxy.url(valkey.url))
        assert await exchange(connection, [("PING",)]) == [b"PONG"]
        proxy.cut()
        with pytest.raises(RedisConnectionError):
            await exchange(connection, [("PING",)])
        assert await exchange(connection, [("PING",)]) == [b"PONG"], "it connects again"
        await connection.disconnect()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_writing_to_a_closed_connection_is_an_error_of_redis(
    new_loop: Callable[[], asyncio.AbstractEventLoop], valkey: ValkeyServer
) -> None:
    async def write_after_a_reset() -> None:
        async with TcpProxy(valkey.port) as proxy:
            connection = connection_to(proxy.url(valkey.url))
            await exchange(connection, [("PING",)])
            proxy.cut()

            async def write_fails() -> bool:
                try:
                    await connection.send_packed_command(connection.pack_command("PING"), check_health=False)
                except RedisConnectionError:
                    return True
                return False

            await until(write_fails, what="the connection is known to be closed")
            await connection.disconnect(nowait=True)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(write_after_a_reset())


async def test_a_client_sends_command_names_of_two_words_and_its_own_name(valkey: ValkeyServer) -> None:
    async with client_of(valkey.url) as redis:
        assert await redis.client_getname() == "a-test"
        assert await redis.config_get("appendonly") == {"appendonly": "yes"}
        assert await redis.execute_command(b"CONFIG GET", "appendonly")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("options", ["protocol=3", "decode_responses=yes", "socket_timeout=0.0001", "protocol=3&db=0"])
async def test_options_of_the_address_change_no_reply(valkey: ValkeyServer, options: str) -> None:
    connection = connection_to(f"{valkey.url}?{options}")
    (reply,) = await exchange(connection, [("CONFIG", "GET", "appendonly")])
    assert reply == [b"appendonly", b"yes"]
    await connection.disconnect()
    async with client_of(f"{valkey.url}?{options}") as redis:
        assert await redis.echo("a") == b"a"


async def test_a_client_waits_as_long_as_its_commands_may_block(valkey: ValkeyServer, key_prefix: str) -> None:
    async with client_of(valkey.url, timeout_s=0.2, blocks_ms=5000) as redis:
        assert await redis.blpop([key_prefix], timeout=0.5) is None
    async with client_of(valkey.url, timeout_s=0.2) as redis:
        with pytest.raises(RedisTimeoutError):
            await redis.blpop([key_prefix], timeout=5)


@pytest.fixture
def socket_url(tmp_path: Path) -> Iterator[str]:
    """A server that also listens on a socket in its folder."""
    server = ValkeyServer(tmp_path / "valkey", {"unixsocket": "redis.sock"})
    server.start()
    (socket,) = tmp_path.rglob("redis.sock")
    yield f"unix://:{server.password}@{socket}"
    server.kill()


async def test_a_server_behind_a_unix_socket(socket_url: str) -> None:
    async with client_of(socket_url) as redis:
        assert await redis.set("a", "1")


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    async with client_of(f"unix://{tmp_path}/nothing") as redis:
        with pytest.raises(RedisConnectionError):
            await redis.get("a")


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(client_of("redis://:hush@nowhere/0"))
    assert "hush" not in repr(connection_to("redis://:hush@nowhere/0"))


async def test_a_server_that_takes_no_writes_loses_its_connection(
    private_valkey: ValkeyServer, valkey: ValkeyServer, key_prefix: str
) -> None:
    async with (
        TcpProxy(private_valkey.port) as proxy,
        client_of(proxy.url(private_valkey.url)) as redis,
        Redis.from_url(private_valkey.url, protocol=2) as operator,
    ):
        connection = connection_to(proxy.url(private_valkey.url))
        await exchange(connection, [("PING",)])
        await redis.ping()
        await operator.execute_command("REPLICAOF", "127.0.0.1", str(valkey.port))  # type: ignore[no-untyped-call]
        with pytest.raises(ReadOnlyError):
            await redis.set(key_prefix, "x")
        error, pong = await exchange(connection, [("SET", key_prefix, "x"), ("PING",)])
        assert describe_reply(error).startswith("READONLY ")
        assert pong == b"PONG", "the other replies are read first"
        assert not connection.is_connected
        before = proxy.connections_total
        assert await redis.ping() == await redis.ping()
        await exchange(connection, [("PING",)])
        assert proxy.connections_total == before + 2
        await connection.disconnect()


async def test_a_refusal_of_one_command_keeps_the_connection(valkey: ValkeyServer, key_prefix: str) -> None:
    connection = connection_to(valkey.url)
    _, refused = await exchange(connection, [("SET", key_prefix, "x"), ("XLEN", key_prefix)])
    assert describe_reply(refused).startswith("WRONGTYPE ")
    assert connection.is_connected
    await exchange(connection, [("DEL", key_prefix)])
    await connection.disconnect()
