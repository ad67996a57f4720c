"""Connecting through sentinels: to the master that they name, whatever some of them say, and with a sentence if not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from runtime.redis_connection import client, single_connection
from runtime.redis_wire import exchange
from stack.ports import HOST
from tests.support.sentinels import Sentinels, SentinelServer, running_sentinels
from tests.support.servers import ValkeyServer
from tests.support.wait import until

TIMEOUT_S = 3.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sentinels]:
    """One master, two replicas, three sentinels, for all tests here."""
    async with running_sentinels(tmp_path_factory.mktemp("sentinels")) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared: Sentinels) -> AsyncIterator[Sentinels]:
    """The same; whatever the test stopped runs again afterwards."""
    yield shared
    for server in (*shared.servers, *shared.sentinels):
        server.resume()
        if not server.child.is_running:
            await server.restart()


pytestmark = pytest.mark.asyncio(loop_scope="module")


def client_of(url: str) -> Redis:
    return client(SecretStr(url), timeout_s=TIMEOUT_S, name="a-test")


async def port_of(redis: Redis) -> int:
    return int((await redis.info("server"))["tcp_port"])


async def test_a_replica_that_a_sentinel_takes_for_the_master_is_left_at_once(cluster: Sentinels) -> None:
    replica = next(server for server in cluster.servers if server is not cluster.master)
    await cluster.sentinels[0].ask("MONITOR", "behind", HOST, str(replica.port), "1")
    await cluster.sentinels[0].ask("SET", "behind", "auth-pass", replica.password)
    try:
        connection = single_connection(SecretStr(cluster.url("behind")), connect_timeout_s=TIMEOUT_S)
        with pytest.raises(RedisConnectionError, match="was named as the master of Redis, and is a replica"):
            await exchange(connection, [("PING",)])
        assert not connection.is_connected
    finally:
        await cluster.sentinels[0].ask("REMOVE", "behind")


async def test_a_name_that_the_sentinels_do_not_know(cluster: Sentinels) -> None:
    async with client_of(cluster.url("nobody")) as redis:
        with pytest.raises(RedisConnectionError, match="it knows no master 'nobody'"):
            await redis.ping()


async def test_a_wrong_password_of_the_sentinels(cluster: Sentinels) -> None:
    url = cluster.url().partition("?")[0]
    for wrong, answer in (("", "NOAUTH|Authentication required"), ("?sentinel_password=hush", "WRONGPASS|invalid")):
        async with client_of(url + wrong) as redis:
            with pytest.raises(RedisConnectionError, match=answer) as caught:
                await redis.ping()
            assert "hush" not in str(caught.value)


async def test_a_dead_and_a_silent_sentinel_cost_one_time_limit_at_most(cluster: Sentinels) -> None:
    cluster.sentinels[0].kill()
    cluster.sentinels[1].pause()
    for _ in range(3):
        async with client_of(cluster.url()) as redis:
            assert await redis.ping()


async def test_commands_reach_the_master_and_follow_it(cluster: Sentinels) -> None:
    async with client_of(cluster.url()) as redis:
        assert await port_of(redis) == cluster.master.port
        script = redis.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
        assert await script(keys=["a"], args=["1"])
        old = cluster.master
        old.kill()
        await cluster.another_master()

        async def writes() -> bool:
            try:
                return bool(await script(keys=["a"], args=["2"]))  # the server does not know it: NOSCRIPT
            except RedisError:
                return False

        await until(writes, what="writes reach the new master")
        assert await port_of(redis) == cluster.master.port
        await old.restart()
        async with client_of(old.url) as direct:
            assert (await direct.info("replication"))["role"] == "master", "it does not know"
        await redis.connection_pool.disconnect()
        assert await port_of(redis) == cluster.master.port


async def test_a_sentinel_with_an_older_view_is_not_believed(cluster: Sentinels, tmp_path: Path) -> None:
    """As one that was cut off with the old master: here it watches another server, and has seen no failover."""
    if not int(await cluster.fact("config-epoch")):
        await cluster.forced()
    other = ValkeyServer(tmp_path / "other", password=cluster.master.password)
    behind = SentinelServer(tmp_path / "behind", other, cluster.sentinels[0].password)
    sentinels = cluster.sentinels
    try:
        other.start()
        behind.start()
        cluster.sentinels = [behind, *sentinels[:2]]
        for _ in range(2):
            async with client_of(cluster.url()) as redis:
                assert await port_of(redis) == cluster.master.port
            for sentinel in sentinels:
                sentinel.kill()
    finally:
        cluster.sentinels = sentinels
        behind.kill()
        other.kill()


async def test_without_any_sentinel_the_last_known_master_is_used(cluster: Sentinels) -> None:
    async with client_of(cluster.url()) as redis:
        assert await redis.ping()
        for sentinel in cluster.sentinels:
            sentinel.kill()
        assert await redis.ping(), "connections stay"
        async with client_of(cluster.url()) as another:
            assert await port_of(another) == cluster.master.port
        # Another address has no last known master.
        async with client_of(cluster.url("another-name")) as stranger:
            with pytest.raises(RedisConnectionError) as caught:
                await stranger.ping()
    sentence = str(caught.value)
    assert sentence.startswith("nobody names the master 'another-name' of Redis (127.0.0.1:")
    assert sentence.count("Connect call failed") == 3
    assert cluster.master.password not in sentence
    assert cluster.sentinels[0].password not in sentence
