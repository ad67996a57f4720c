"""`make partitions`: the number of partitions is changed while workers run, is logged, and survives a wiped Redis."""

import pytest

from consumers.settings import Settings
from contract.keys import Keys
from operations.status import read_redis_status
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.gateway import payment, running
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Said, Stream, say
from tests.support.wait import until

LOGGED = "SELECT actor, reason, action, subject, touched, details ->> 'now' FROM operations ORDER BY id"


async def change(settings: Settings, number: int) -> Said:
    return await say(settings, "partitions", "--reason", "more payments", "--actor", "ada", "--json", "--", str(number))


async def leases(workers: Workers) -> list[int]:
    """Return the partitions that a worker works on."""
    return [n for n in range(10) if await workers.redis.exists(workers.keys.of(n).slot(1))]


async def works_on(workers: Workers, partitions: int) -> bool:
    return await leases(workers) == list(range(partitions))


async def is_empty(workers: Workers, keys: Keys) -> bool:
    return await workers.redis.xlen(keys.events) == 0


async def test_running_workers_follow_and_what_is_left_in_the_last_ones_is_applied(
    workers: Workers, valkey: ValkeyServer, key_prefix: str
) -> None:
    async with workers.working(slot_ttl_ms=3000):
        await until(lambda: works_on(workers, 1), what="it works on the only partition")
        assert (await change(workers.settings, 8)).json == {"before": 1, "now": 8, "read": 8}
        await until(lambda: works_on(workers, 8), what="it works on all partitions")
        assert (await read_redis_status(workers.redis, workers.keys)).workers == 1
    await workers.redis.hset(workers.keys.members, "of a killed one", 2**53)
    assert (await read_redis_status(workers.redis, workers.keys)).workers == 0
    await workers.redis.delete(workers.keys.members)
    async with running(valkey.url, key_prefix, partitions=8) as gateway:
        ids = [(await gateway.post(payment(number))).json()["event_id"] for number in range(16)]
    assert (await change(workers.settings, 3)).json == {"before": 8, "now": 3, "read": 8}
    status = (await say(workers.settings, "status", "--json")).json["redis"]
    assert status["stream"]["backlog"] == 16
    assert {"3", "4", "5", "6", "7"} >= status["partitions"]["leaving"].keys() != set()
    async with running(valkey.url, key_prefix, partitions=3) as gateway:
        again = [(await gateway.post(payment(number))).status for number in range(16)]
        assert set(again) == {200, 202}, "a marker in another partition is not found; Postgres says no"
    async with workers.working(slot_ttl_ms=3000):
        for number in range(8):
            keys = workers.keys.of(number)
            await until(lambda keys=keys: is_empty(workers, keys), what="it is drained")  # type: ignore[misc]
    assert await workers.events() == sorted(ids)
    assert await workers.findings() == []
    assert (await say(workers.settings, "status", "--json")).json["redis"]["partitions"]["leaving"] == {}
    assert await workers.rows(LOGGED) == [
        ("ada", "more payments", "partitions", f"stream:{key_prefix}", 7, "8"),
        ("ada", "more payments", "partitions", f"stream:{key_prefix}", 5, "3"),
    ]


async def test_a_wiped_redis_does_not_make_the_number_one_again(workers: Workers, stream: Stream) -> None:
    assert (await change(workers.settings, 4)).code == 0
    await stream.redis.delete(workers.keys.partitions)
    async with workers.working(slot_ttl_ms=3000):
        await until(lambda: works_on(workers, 4), what="Postgres knows how many there are")
        await stream.publish(contract_event("evt_1"))
        await workers.drained()
    assert await stream.redis.hget(workers.keys.partitions, "read") == b"4"


@pytest.mark.parametrize("number", ["0", "257", "x", "-1"])
async def test_only_a_number_of_partitions_is_accepted(settings: Settings, number: str) -> None:
    with pytest.raises(SystemExit) as ended:
        await say(settings, "partitions", "--actor", "ada", "--", number)
    assert ended.value.code == 2
