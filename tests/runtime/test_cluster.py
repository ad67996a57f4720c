"""Redis Cluster: each command reaches the node of its partition, also after that node was replaced or gave it away."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from contract.keys import Keys, partition_of_entry
from runtime.redis_cluster import partition_of_command
from runtime.redis_connection import client, one_connection, single_connection
from runtime.redis_wire import exchange
from tests.support.gateway import Running, payment, running
from tests.support.redis_cluster import RedisCluster, ask, running_cluster
from tests.support.servers import ValkeyServer
from tests.support.wait import until

TIMEOUT_S = 3.0
PARTITIONS = 8
"""Enough that each of three nodes has some."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisCluster]:
    """Three masters, each with a replica, for all tests here."""
    async with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def redis(cluster: RedisCluster) -> AsyncIterator[Redis]:
    """A client as every program has it."""
    async with client(SecretStr(cluster.url()), timeout_s=TIMEOUT_S, name="a-test") as redis:
        yield redis


async def test_commands_scripts_and_pipelines_reach_the_node_of_their_partition(redis: Redis) -> None:
    script = redis.register_script("return {redis.call('XADD', KEYS[1], '*', 'a', ARGV[1]), KEYS[1]}")
    for partition in range(PARTITIONS):
        keys = Keys("a-test", partition)
        await script(keys=[keys.events], args=["payments:{7}:is no key here"])
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.xlen(keys.events)
            pipeline.exists(keys.epoch)
            assert await pipeline.execute() == [1, 0]
        assert (await redis.xinfo_stream(keys.events))["length"] == 1
        cursor, names = await redis.scan(0, match=f"a-test:{{{partition}}}:*", count=1000)
        assert (cursor, names) == (0, [keys.events.encode()])


async def test_a_script_is_loaded_on_every_node_while_more_partitions_are_first_used(redis: Redis) -> None:
    script = redis.register_script("return ARGV[1]")

    async def use(partition: int) -> None:
        keys = Keys("at-once", partition)
        assert await script(keys=[keys.events], args=["a"]) == b"a"

    await asyncio.gather(*map(use, range(PARTITIONS)))


async def test_one_connection_leads_to_the_node_of_its_partition(cluster: RedisCluster) -> None:
    for partition in range(PARTITIONS):
        connection = single_connection(SecretStr(cluster.url()), partition, connect_timeout_s=TIMEOUT_S)
        assert await exchange(connection, [("SET", Keys("one", partition).epoch, "1")]) == [b"OK"]
        await connection.disconnect()


async def test_a_client_of_one_connection_asks_the_node_that_it_wrote_to(redis: Redis) -> None:
    nodes = set()
    for partition in range(PARTITIONS):
        key = Keys("follows", partition).epoch
        async with one_connection(redis, key) as (one, _):
            await one.set(key, "1")
            assert await one.execute_command("WAITAOF", 1, 0, 1000) == [1, 0]  # type: ignore[no-untyped-call]
            nodes.add(await one.execute_command("CLUSTER", "MYID"))  # type: ignore[no-untyped-call]
    assert len(nodes) == 3


async def test_a_frozen_node_stops_only_its_own_partitions(cluster: RedisCluster, redis: Redis) -> None:
    """Also that of partition 0, which says how many partitions are read, and is asked about it with every check."""
    await redis.hset(Keys("apart").partitions, "read", PARTITIONS)
    await cluster.follow(0)
    frozen, others = cluster.master, set()
    for partition in range(PARTITIONS):
        await cluster.follow(partition)
        if cluster.master is not frozen:
            others.add(partition)
    await _replaces_after(cluster, 60_000)
    try:
        async with running(
            cluster.url(), "apart", partitions=PARTITIONS, durability_check_s=0.5, durability_timeout_s=1,
            redis_timeout_s=2,
        ) as gateway:  # fmt: skip
            answers = {number: await gateway.post(payment(number)) for number in range(8)}
            theirs = [each for each in answers if partition_of_entry(answers[each].json()["entry_id"]) in others]
            assert theirs
            frozen.pause()
            await until(lambda: not gateway.counted("durable"), what="the frozen node was checked, and so were others")
            assert (await gateway.get("/readyz")).status == 200
            for number in theirs:
                await until(partial(_is_known, gateway, number), timeout_s=TIMEOUT_S, what="it is accepted")
            frozen.resume()
    finally:
        frozen.resume()
        await _replaces_after(cluster, 2000)
        await until(cluster.is_whole, what="the cluster is whole")


async def _is_known(gateway: Running, number: int) -> bool:
    return (await gateway.post(payment(number))).status == 200


async def _replaces_after(cluster: RedisCluster, timeout_ms: int) -> None:
    for server in cluster.servers:
        await ask(server, "CONFIG", "SET", "cluster-node-timeout", str(timeout_ms))


@pytest.mark.parametrize("kind", ["planned", "killed"])
async def test_writes_reach_the_new_master(cluster: RedisCluster, redis: Redis, kind: str) -> None:
    script = redis.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
    key = Keys("again").epoch
    await script(keys=[key], args=["1"])
    await cluster.failovers[kind]()
    await until(lambda: _is_done(script(keys=[key], args=["2"])), what="the script runs on the new master")
    await until(cluster.is_whole, what="the old one is a replica")


async def test_a_slot_moves_to_another_node(cluster: RedisCluster, redis: Redis) -> None:
    keys = Keys("moves")
    await redis.set(keys.epoch, "1")
    target = next(server for server in await cluster.masters() if server is not cluster.master)
    await cluster.move_slot(target)
    await until(lambda: _is_done(redis.get(keys.epoch)), what="the key is found where it is now")


async def test_without_any_node_a_sentence_says_so(valkey: ValkeyServer) -> None:
    async with client(SecretStr("redis+cluster://:hush@127.0.0.1:1"), timeout_s=TIMEOUT_S, name="a-test") as redis:
        with pytest.raises(
            RedisConnectionError, match="nobody names the node of slot 13907 of the Redis cluster"
        ) as one:
            await redis.ping()
    assert "hush" not in str(one.value)
    alone = valkey.url.replace("redis://", "redis+cluster://").removesuffix("/0")
    async with client(SecretStr(alone), timeout_s=TIMEOUT_S, name="a-test") as redis:
        with pytest.raises(RedisConnectionError, match="cluster support disabled"):
            await redis.ping()


async def test_the_partition_of_a_command_is_that_of_its_first_key() -> None:
    assert partition_of_command(("XLEN", "payments:{12}:events")) == 12
    assert partition_of_command(("EVALSHA", "0" * 40, 2, "a.b:{3}:events", b"a.b:{4}:x")) == 3
    assert partition_of_command(("INFO", "server")) is None
    assert partition_of_command(("XREADGROUP", "GROUP", "g", "worker-1", "STREAMS", b"p:{255}:events", ">")) == 255


async def _is_done(command: object) -> bool:
    try:
        return bool(await command)  # type: ignore[misc]
    except RedisError:
        return False
