"""The gateway asks the server what it guarantees, and notices when a guarantee is lost."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from stack.ports import HOST
from tests.support.gateway import Running, entries, payment, running
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

LOADED_COMMANDS = 5000
LOAD_DELAY_US = 300
"""Makes loading take about two seconds; every thousand commands the server answers clients."""


async def accepted(gateway: Running, number: int) -> bool:
    return (await gateway.post(payment(number))).status == 202


async def reason(gateway: Running) -> str:
    return str((await gateway.get("/readyz")).json()["reason"])


async def config(server: ValkeyServer, **settings: str) -> None:
    async with Redis.from_url(server.url, protocol=2) as redis:
        for name, value in settings.items():
            await redis.config_set(name.replace("_", "-"), value)


async def test_a_server_that_fsyncs_later_is_asked_with_waitaof(private_valkey: ValkeyServer, key_prefix: str) -> None:
    await config(private_valkey, appendfsync="everysec")
    async with running(private_valkey.url, key_prefix) as gateway:
        assert (await gateway.get("/readyz")).json()["proof"] == "waitaof"
        answers = await asyncio.gather(*(gateway.post(payment(number)) for number in range(50)))
        assert {answer.status for answer in answers} == {202}


async def test_without_an_fsync_there_is_no_2xx_for_new_nor_for_duplicates(
    private_valkey: ValkeyServer, key_prefix: str
) -> None:
    """`appendfsync no`: the operating system writes when it likes, which WAITAOF does not call durable."""
    await config(private_valkey, appendfsync="everysec")
    unwatched = 60
    async with running(
        private_valkey.url, key_prefix, durability_timeout_s=0.2, durability_check_s=unwatched
    ) as gateway:
        await config(private_valkey, appendfsync="no")
        assert (await gateway.post(payment())).status == 503
        assert (await gateway.post(payment())).status == 503
        async with Redis.from_url(private_valkey.url, protocol=2) as redis:
            marker = Keys(key_prefix).seen("default", "tx_1:COMPLETED")
            life_s = await redis.ttl(marker)
            assert await redis.xlen(Keys(key_prefix).events) == 1
            assert life_s > 86_400
        await config(private_valkey, appendfsync="everysec")
        await until(lambda: is_duplicate(gateway), what="the duplicate is durable")


async def is_duplicate(gateway: Running) -> bool:
    return (await gateway.post(payment())).status == 200


async def test_replicas_that_do_not_confirm(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(private_valkey.url, key_prefix, durability="fsync+replica", durability_timeout_s=0.2) as gateway:
        assert (await gateway.post(payment())).status == 503
        assert await reason(gateway) == "only 0 of the 1 replicas of Redis are connected"


async def test_a_replica_that_confirms(private_valkey: ValkeyServer, key_prefix: str, tmp_path_factory: Any) -> None:
    options = {"replicaof": f"{HOST} {private_valkey.port}", "masterauth": private_valkey.password}
    await config(private_valkey, repl_diskless_sync_delay="0")
    replica = ValkeyServer(tmp_path_factory.mktemp("replica"), options)
    replica.start()
    try:
        async with running(private_valkey.url, key_prefix, durability="fsync+replica") as gateway:
            await until(lambda: accepts_with_replica(gateway), what="the replica has caught up")
        async with running(replica.url, key_prefix) as gateway:
            assert (await gateway.post(payment())).status == 503
            assert "not the master" in await reason(gateway)
    finally:
        replica.kill()


async def accepts_with_replica(gateway: Running) -> bool:
    answer = await gateway.post(payment(2))
    return answer.status in (200, 202)


@pytest.mark.parametrize(
    ("setting", "bad", "good", "why"),
    [
        ("appendonly", "no", "yes", "append-only"),
        ("appendfsync", "no", "always", "appendfsync is no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", "evict"),
        ("maxmemory", "1000", "0", "out of memory"),
    ],
)
async def test_a_guarantee_lost_at_run_time_is_noticed(
    private_valkey: ValkeyServer, key_prefix: str, setting: str, bad: str, good: str, why: str
) -> None:
    async with running(private_valkey.url, key_prefix, durability_check_s=0.05) as gateway:
        assert await accepted(gateway, 1)
        await config(private_valkey, **{setting: bad})
        await until(lambda: refuses(gateway, why), what="/readyz says why")
        assert (await gateway.post(payment(2))).status == 503
        assert gateway.counted("durable") == 0
        await config(private_valkey, **{setting: good})
        await until(lambda: gateway.counted("durable"), what="the gateway trusts it again")
        assert await accepted(gateway, 2)


async def refuses(gateway: Running, why: str) -> bool:
    return why in await reason(gateway)


async def refuses_event(gateway: Running, number: int, why: str) -> bool:
    return (await gateway.post(payment(number))).status == 503 and why in gateway.gateway.redis.reason


async def test_memory_durability_must_be_chosen_by_name(private_valkey: ValkeyServer, key_prefix: str) -> None:
    await config(private_valkey, appendonly="no")
    async with running(private_valkey.url, key_prefix) as gateway:
        assert (await gateway.post(payment())).status == 503
    async with running(private_valkey.url, key_prefix, durability="memory") as gateway:
        answer = await gateway.post(payment())
        assert (answer.status, answer.json()["durability"]) == (202, "memory")


async def test_a_server_that_forbids_config_get(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with Redis.from_url(private_valkey.url, protocol=2) as redis:
        await redis.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", "managed", "on", ">pw", "~*", "+@all", "-config", "+info", "+waitaof"
        )  # fmt: skip
    url = f"redis://managed:pw@{HOST}:{private_valkey.port}/0"
    async with running(url, key_prefix) as gateway:
        assert (await gateway.get("/readyz")).json()["proof"] == "waitaof"
        assert await accepted(gateway, 1)


async def test_redis_killed_and_restarted(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(private_valkey.url, key_prefix, durability_check_s=0.05) as gateway:
        assert await accepted(gateway, 1)
        private_valkey.kill()
        assert (await gateway.post(payment(2))).status == 503
        assert (await gateway.get("/readyz")).status == 503
        await private_valkey.restart()
        assert await accepted(gateway, 2)
        assert (await gateway.post(payment(1))).status == 200


async def test_a_server_that_has_become_a_replica(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(private_valkey.url, key_prefix, durability_check_s=300) as gateway:
        assert await accepted(gateway, 1)
        async with Redis.from_url(private_valkey.url, protocol=2) as redis:
            await redis.replicaof(HOST, "1")
            assert (await gateway.post(payment(2))).status == 503
            await redis.replicaof("NO", "ONE")
        assert await accepted(gateway, 2)


async def test_out_of_memory_publishes_nothing_of_a_batch(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(private_valkey.url, key_prefix, durability_check_s=300) as gateway:
        assert await accepted(gateway, 1)
        await config(private_valkey, maxmemory="1000")
        answers = await asyncio.gather(*(gateway.post(payment(number)) for number in range(2, 12)))
        assert {answer.status for answer in answers} == {503}
        async with Redis.from_url(private_valkey.url, protocol=2) as redis:
            assert await redis.xlen(Keys(key_prefix).events) == 1
        await config(private_valkey, maxmemory="0")
        assert await accepted(gateway, 2)


async def test_a_lost_reply_is_503_and_the_retry_200(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with TcpProxy(private_valkey.port) as proxy:
        url = proxy.url(private_valkey.url)
        async with running(
            url, key_prefix, redis_timeout_s=0.5, durability_timeout_s=0.4, durability_check_s=300
        ) as gateway:
            assert await accepted(gateway, 1)
            proxy.drop_replies()
            assert (await gateway.post(payment(2))).status == 503
            proxy.resume()
            assert (await gateway.post(payment(2))).status == 200
            proxy.cut()
            assert (await gateway.post(payment(3))).status in (202, 503)
            assert (await gateway.post(payment(4))).status == 202


async def test_a_stalled_redis_costs_a_bounded_time(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(
        private_valkey.url, key_prefix, redis_timeout_s=0.3, durability_timeout_s=0.2, durability_check_s=300
    ) as gateway:
        assert await accepted(gateway, 1)
        private_valkey.pause()
        answers = await asyncio.gather(*(gateway.post(payment(number)) for number in range(2, 20)))
        assert {answer.status for answer in answers} == {503}
        private_valkey.resume()
        statuses = {(await gateway.post(payment(number))).status for number in range(2, 20)}
        assert statuses <= {200, 202}


async def test_a_server_that_forgets_its_scripts(gateway: Running, redis: Redis) -> None:
    for number in range(3):
        await redis.script_flush()
        assert await accepted(gateway, number)


async def test_the_epoch_is_the_first_entry_of_the_stream(gateway: Running, redis: Redis, keys: Keys) -> None:
    await asyncio.gather(*(gateway.post(payment(number)) for number in range(5)))
    (first, _), *_ = await entries(redis, keys)
    assert await redis.get(keys.epoch) == first
    await redis.delete(keys.events)
    await gateway.post(payment(6))
    ((again, _),) = await entries(redis, keys)
    assert again > first
    assert await redis.get(keys.epoch) == again


async def test_a_key_of_another_type_is_answered_503(gateway: Running, redis: Redis, keys: Keys) -> None:
    await redis.set(keys.events, "not a stream")
    assert (await gateway.post(payment())).status == 503
    await redis.delete(keys.events)
    assert await accepted(gateway, 1)


async def test_a_server_that_loads_its_data(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(private_valkey.url, key_prefix, durability_check_s=300) as gateway:
        assert await accepted(gateway, 1)
        async with Redis.from_url(private_valkey.url, protocol=2) as redis, redis.pipeline(transaction=False) as pipe:
            for number in range(LOADED_COMMANDS):
                pipe.set(f"key {number}", number)
            await pipe.execute()
        private_valkey.kill()
        private_valkey.options["key-load-delay"] = str(LOAD_DELAY_US)
        private_valkey.child.launch(private_valkey.argv())
        await until(lambda: refuses_event(gateway, 2, "loading"), what="the server loads its data")
        await until(lambda: accepts(gateway, 2), what="the server has loaded its data")
        assert (await gateway.post(payment(1))).status == 200


async def accepts(gateway: Running, number: int) -> bool:
    return (await gateway.post(payment(number))).status in (200, 202)
