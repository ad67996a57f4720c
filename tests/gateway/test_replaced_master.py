"""What the gateway knows of one master says nothing about the next one."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from gateway.redis_writer import RedisWriter
from gateway.server_check import ServerCheck, have_left
from gateway.settings import Settings
from runtime.addresses import Server
from tests.support.failover import replicate
from tests.support.gateway import running
from tests.support.named_master import named_master
from tests.support.servers import ValkeyServer
from tests.support.wait import until

IN_TIME_S = 4.0
"""On a busy machine; a tenth of it is usual."""

X, Y, Z = ("10.0.0.1", 6379), ("10.0.0.2", 6379), ("10.0.0.3", 6379)


async def test_the_server_that_took_the_place_of_another_is_checked_before_it_is_written_to(
    private_valkey: ValkeyServer, tmp_path: Path, key_prefix: str
) -> None:
    """Another connection has found it. This one leaves the old server with its next exchange, and is connected."""
    other = ValkeyServer(tmp_path / "other", password=private_valkey.password)
    other.start()
    try:
        with named_master(private_valkey) as place:
            settings = Settings(redis_url=private_valkey.url, _env_file=None)  # type: ignore[call-arg, arg-type]
            writer = RedisWriter(settings, ServerCheck(settings, [Keys(key_prefix)]))
            await writer.check()
            place.name(other)
            await place.find()
            _, guarantee = await writer.write(lambda _: [("SET", f"{key_prefix}:{{0}}:a", "1")])
            async with Redis.from_url(other.url, protocol=2) as redis:
                assert guarantee.run_id == (await redis.info("server"))["run_id"]
            await writer.close()
    finally:
        other.kill()


async def test_a_check_that_hangs_delays_no_other(monkeypatch: pytest.MonkeyPatch, key_prefix: str) -> None:
    """In a cluster each partition may be on another server."""
    checks: dict[RedisWriter, int] = {}

    async def check(writer: RedisWriter, age_s_max: float = 0) -> None:  # noqa: ARG001
        checks[writer] = checks.get(writer, 0) + 1
        if writer is next(iter(checks)) and checks[writer] > 1:
            await asyncio.Event().wait()

    monkeypatch.setattr(RedisWriter, "check", check)
    async with running("redis+cluster://127.0.0.1:1", key_prefix, partitions=2, durability_check_s=0.01):
        await until(lambda: max(checks.values()) > 3, what="the other one is checked again and again")
    assert min(checks.values()) == 2


@pytest.mark.parametrize(
    ("before", "now", "server", "left"),
    [
        (None, {Y}, X, True),  # nothing is known yet
        ({Y, Z}, {Y, Z}, X, False),
        ({Y}, {Y, Z}, X, False),
        ({Y, Z}, {Y}, X, True),
        ({Y, Z}, {Y}, Z, False),  # it is the master now
        ({Y, Z}, {X}, Z, True),  # the old master is back before the other replica follows
    ],
)
def test_a_replica_that_left_may_be_the_next_master(
    before: set[Server] | None, now: set[Server], server: Server, *, left: bool
) -> None:
    assert have_left(before, now, server) is left


async def test_a_write_is_confirmed_as_soon_as_the_replica_has_it_on_disk(
    private_valkey: ValkeyServer, tmp_path: Path, key_prefix: str
) -> None:
    """By itself the replica reports once a second, which would take ten writes five to ten seconds."""
    replica = ValkeyServer(tmp_path / "replica", password=private_valkey.password)
    replica.start()
    try:
        await replicate(replica, private_valkey)
        settings = Settings(
            redis_url=private_valkey.url, durability="fsync+replica", _env_file=None  # type: ignore[call-arg, arg-type]
        )  # fmt: skip
        writer = RedisWriter(settings, ServerCheck(settings, [Keys(key_prefix)]))
        await writer.check()
        async with asyncio.timeout(IN_TIME_S):
            for _ in range(10):
                await writer.write(lambda _: [("SET", f"{key_prefix}:{{0}}:a", "1")])
        await writer.close()
    finally:
        replica.kill()
