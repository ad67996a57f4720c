"""The master of Redis is replaced while events flow: what was answered 2xx is there, and work goes on by itself."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.keys import Keys
from gateway.redis_writer import RedisUnavailableError, RedisWriter
from gateway.server_check import ServerCheck
from gateway.settings import Settings
from runtime import redis_places
from runtime.durability import Guarantee
from runtime.redis_wire import Command
from tests.adversity.masters_die import survive
from tests.adversity.operators import NOT_NOTICED, OF_A_LOSS
from tests.support.harness import Harness
from tests.support.sentinels import Sentinels, running_sentinels


@pytest_asyncio.fixture
async def masters(tmp_path: Path) -> AsyncIterator[Sentinels]:
    """One master, two replicas, three sentinels."""
    async with running_sentinels(tmp_path / "redis") as running:
        yield running


@pytest.mark.parametrize("kind", ["planned", "killed", "frozen"])
async def test_a_master_is_replaced(replicated: Harness, masters: Sentinels, kind: str) -> None:
    assert await survive(replicated, masters, kind) == []


async def test_what_a_master_takes_when_it_wakes_up_too_late_is_not_confirmed(
    masters: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that was not sent away yet still follows it, and has the write on its disk."""
    monkeypatch.setattr(redis_places, "ASKED_EACH_S", 60.0)  # as if it confirmed before anybody wondered
    other = next(server for server in masters.servers if server is not masters.master)
    async with Redis.from_url(other.url, protocol=2) as redis:
        await redis.config_set("replica-priority", 0)  # not promoted, and
        await redis.execute_command("ACL", "SETUSER", "default", "-replicaof", "-slaveof")  # type: ignore[no-untyped-call]
    settings = Settings(redis_url=masters.url(), durability="fsync+replica", replicas=1)  # type: ignore[arg-type]
    writer, old = RedisWriter(settings, ServerCheck(settings, [Keys("payments")])), masters.master
    await writer.check()
    assert writer.guarantee is not None
    writer.guarantee = replace(writer.guarantee, replicas=1)  # as when the other one had just come back
    old.pause()
    await masters.another_master()
    old.resume()
    with pytest.raises(RedisUnavailableError, match="was replaced before it confirmed"):
        await writer.write(_one_write)
    await writer.close()


def _one_write(_: Guarantee) -> list[Command]:
    return [("SET", "payments:{0}:test", "lost")]


async def test_a_replica_is_promoted_while_its_master_takes_writes(replicated: Harness, masters: Sentinels) -> None:
    """Workers may have applied what only the old master had: the audit names it, and nothing promised is lost."""
    async with replicated.load() as load:
        await load.promised(50)
        await masters.forced()
        replicated.valkey = masters.master
        await load.promised(50)
    of_the_old = tuple(f"audit: {name} " for name in (*OF_A_LOSS, *NOT_NOTICED))
    assert [line for line in await replicated.check_promises() if not line.startswith(of_the_old)] == []
