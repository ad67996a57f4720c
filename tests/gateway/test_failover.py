"""A gateway whose Redis moves, or refuses every write: it follows the address, and readiness says what is true."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from stack.ports import free_port
from tests.support.failover import HEALED_S, moving_redis
from tests.support.gateway import Running, payment, running
from tests.support.servers import ValkeyServer
from tests.support.wait import until

QUICK_CHECK_S = 0.5


@pytest.mark.parametrize("old_becomes_replica", [True, False], ids=["old-is-replica", "old-is-still-a-primary"])
async def test_the_gateway_follows_redis_to_another_server(
    private_valkey: ValkeyServer, tmp_path: Path, key_prefix: str, old_becomes_replica: bool
) -> None:
    events = Keys(key_prefix).events
    async with (
        moving_redis(private_valkey, tmp_path) as moving,
        Redis.from_url(moving.new.url, protocol=2) as new,
        running(moving.url, key_prefix) as gateway,
    ):
        assert (await gateway.post(payment(0))).status == 202
        await until(lambda: new.exists(events), what="the event is replicated")
        await moving.move(old_becomes_replica=old_becomes_replica)
        numbers = iter(range(1, 10_000))

        async def is_accepted_by_the_new_server() -> bool:
            before = await new.xlen(events)
            answer = await gateway.post(payment(next(numbers)))
            return answer.status == 202 and await new.xlen(events) > before

        await until(is_accepted_by_the_new_server, timeout_s=HEALED_S, what="events enter the new server")
        assert (await gateway.get("/readyz")).status == 200
        # Every connection of the gateway has moved, also the one that reads commits.
        answer = await gateway.post(payment(10_001), Prefer="wait=0.2")
        assert answer.status == 202


async def forbid_scripts(redis: Redis, _keys: Keys) -> None:
    await redis.execute_command("ACL", "SETUSER", "gateway", "-@scripting")  # type: ignore[no-untyped-call]


async def forbid_scripts_by_their_hash(redis: Redis, _keys: Keys) -> None:
    await redis.execute_command("ACL", "SETUSER", "gateway", "-evalsha")  # type: ignore[no-untyped-call]


async def forbid_asking_the_disk(redis: Redis, _keys: Keys) -> None:
    await redis.config_set("appendfsync", "everysec")
    await redis.execute_command("ACL", "SETUSER", "gateway", "-waitaof")  # type: ignore[no-untyped-call]


async def forbid_adding(redis: Redis, _keys: Keys) -> None:
    await redis.execute_command("ACL", "SETUSER", "gateway", "-xadd")  # type: ignore[no-untyped-call]


async def forbid_markers(redis: Redis, keys: Keys) -> None:
    rule = ("resetkeys", f"~{keys.events}", f"~{keys.epoch}", f"~{keys.account}")
    await redis.execute_command("ACL", "SETUSER", "gateway", *rule)  # type: ignore[no-untyped-call]


async def make_the_stream_a_text(redis: Redis, keys: Keys) -> None:
    await redis.set(keys.events, "x")


async def allow_everything(redis: Redis, keys: Keys) -> None:
    await redis.execute_command("ACL", "SETUSER", "gateway", "~*", "+@all")  # type: ignore[no-untyped-call]
    if await redis.type(keys.events) == b"string":
        await redis.delete(keys.events)


@pytest.mark.parametrize(
    ("refuse", "code"),
    [
        (forbid_scripts, "NOPERM"),
        (forbid_scripts_by_their_hash, "NOPERM"),
        (forbid_adding, "permission"),
        (forbid_markers, "permission"),
        (make_the_stream_a_text, "WRONGTYPE"),
    ],
)
async def test_readiness_follows_what_publishing_meets(
    private_valkey: ValkeyServer, key_prefix: str, refuse: Callable[..., object], code: str
) -> None:
    keys = Keys(key_prefix)
    async with (
        Redis.from_url(private_valkey.url, protocol=2) as redis,
        running(private_valkey.url, key_prefix, durability_check_s=QUICK_CHECK_S) as gateway,
    ):
        assert (await gateway.get("/readyz")).status == 200
        await refuse(redis, keys)  # type: ignore[misc]
        assert (await gateway.post(payment(1))).status == 503
        assert (await gateway.get("/readyz")).status == 503
        await until(lambda: has_checked_again(gateway), what="Redis is checked again, without an event")
        answer = await gateway.get("/readyz")
        assert answer.status == 503
        assert code in answer.json()["reason"]
        await allow_everything(redis, keys)
        await until(lambda: is_ready(gateway), what="it is ready again")
        assert (await gateway.post(payment(2))).status == 202


@pytest.mark.parametrize("refuse", [forbid_adding, forbid_asking_the_disk])
async def test_a_refusal_is_known_before_an_event_meets_it(
    private_valkey: ValkeyServer, key_prefix: str, refuse: Callable[..., object]
) -> None:
    async with (
        Redis.from_url(private_valkey.url, protocol=2) as redis,
        running(private_valkey.url, key_prefix, durability_check_s=QUICK_CHECK_S) as gateway,
    ):
        await refuse(redis, Keys(key_prefix))  # type: ignore[misc]
        await until(lambda: is_unready(gateway), what="it is not ready")
        await allow_everything(redis, Keys(key_prefix))


async def test_a_server_of_a_cluster_that_has_not_our_slot_is_named(tmp_path: Path, key_prefix: str) -> None:
    server = ValkeyServer(tmp_path / "node", {"cluster-enabled": "yes", "cluster-port": str(free_port())})
    server.start()
    try:
        async with running(server.url, key_prefix) as gateway:
            assert (await gateway.post(payment(1))).status == 503
            answer = await gateway.get("/readyz")
            assert answer.status == 503
            assert "CLUSTERDOWN" in answer.json()["reason"]
    finally:
        server.kill()


async def test_checking_changes_nothing(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with (
        Redis.from_url(private_valkey.url, protocol=2) as redis,
        running(private_valkey.url, key_prefix, durability_check_s=0.05),
    ):
        await until(lambda: was_called_often(redis, "eval"), what="Redis was checked several times")
        assert await redis.keys("*") == []


async def is_ready(gateway: Running) -> bool:
    return (await gateway.get("/readyz")).status == 200


async def is_unready(gateway: Running) -> bool:
    return (await gateway.get("/readyz")).status == 503


async def was_called_often(redis: Redis, command: str) -> bool:
    return bool((await redis.info("commandstats")).get(f"cmdstat_{command}", {"calls": 0})["calls"] >= 3)


async def has_checked_again(gateway: Running) -> bool:
    reason = gateway.gateway.redis.reason
    return "what publishing needs" in reason
