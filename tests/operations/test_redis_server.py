"""The Redis server's problems, and whether writes are on its disk."""

import pytest
from redis.asyncio import Redis

from operations.redis_server import is_flushed, read_redis_server
from tests.support.servers import ValkeyServer


@pytest.mark.parametrize(
    ("appendfsync", "appendonly", "flushed"),
    [("always", "yes", True), ("everysec", "yes", True), ("always", "no", False)],
)
async def test_writes_count_as_flushed_only_once_they_are_on_disk(
    private_valkey: ValkeyServer, appendfsync: str, appendonly: str, flushed: bool
) -> None:
    async with Redis.from_url(private_valkey.url, single_connection_client=True) as client:
        await client.config_set("appendfsync", appendfsync)
        await client.config_set("appendonly", appendonly)
        await client.set("written", "1")
        assert await is_flushed(client) is flushed
        server = await read_redis_server(client)
        assert server.aof_enabled is (appendonly == "yes")
        assert bool(server.problems) is (appendonly == "no")


async def test_a_server_that_may_evict_or_refuse_events_has_problems(private_valkey: ValkeyServer) -> None:
    async with Redis.from_url(private_valkey.url, single_connection_client=True) as client:
        assert (await read_redis_server(client)).problems == []
        await client.config_set("maxmemory-policy", "allkeys-lru")
        await client.config_set("appendfsync", "no")
        await client.replicaof("127.0.0.1", 1)
        evicts, no_fsync, replica = (await read_redis_server(client)).problems
        assert "maxmemory-policy is allkeys-lru" in evicts
        assert "is a slave, not the master" in replica
        assert "appendfsync is no" in no_fsync


@pytest.mark.parametrize(
    ("forbidden", "appendfsync", "flushed"),
    [("-waitaof", "always", True), ("-waitaof", "everysec", False), ("-waitaof -config", "always", False)],
)
async def test_without_waitaof_only_appendfsync_always_confirms_a_write(
    private_valkey: ValkeyServer, forbidden: str, appendfsync: str, flushed: bool
) -> None:
    async with Redis.from_url(private_valkey.url, single_connection_client=True) as admin:
        await admin.config_set("appendfsync", appendfsync)
        await admin.acl_setuser(
            "limited", enabled=True, nopass=True, keys=["*"], commands=["+@all", *forbidden.split()]
        )
    async with Redis(
        port=private_valkey.port, username="limited", password="", single_connection_client=True
    ) as client:
        assert await is_flushed(client) is flushed
        assert (await read_redis_server(client)).appendfsync == (None if "config" in forbidden else appendfsync)


async def test_a_server_that_forbids_command_info_is_still_read(private_valkey: ValkeyServer) -> None:
    async with Redis.from_url(private_valkey.url, single_connection_client=True) as admin:
        await admin.acl_setuser(
            "reader", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-command"]
        )  # fmt: skip
        async with Redis(port=private_valkey.port, username="reader", password="") as client:
            assert (await read_redis_server(client)).role == "master"
