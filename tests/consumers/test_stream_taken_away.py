"""A stream that is deleted, renamed or replaced leaves a proof, also before its first ack."""

from collections.abc import Callable
from typing import cast

import pytest
from redis.asyncio import Redis

from consumers import restore_watch
from contract.keys import GROUP, Keys
from tests.support.consuming import Workers
from tests.support.restores import RESTORES, beaten, restored


@pytest.fixture(autouse=True)
def _beats_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_watch, "BEAT_PAUSE_MS", 50)


async def epoch_of(workers: Workers) -> str:
    return cast("bytes", await workers.redis.get(workers.keys.epoch)).decode()


LOSSES: dict[str, Callable[[Redis, Keys], object]] = {
    "deleted": lambda redis, keys: redis.delete(keys.events),
    "renamed": lambda redis, keys: redis.rename(keys.events, f"{keys.events}:old"),
    "replaced": lambda redis, keys: redis.delete(keys.events, keys.epoch),
}


@pytest.mark.parametrize("lose", LOSSES)
async def test_a_stream_that_was_taken_away_is_noticed(workers: Workers, lose: str) -> None:
    await workers.publish(1)
    async with workers.working():
        await workers.drained()
    first = await epoch_of(workers)
    await workers.publish(2, first=1)
    await LOSSES[lose](workers.redis, workers.keys)  # type: ignore[misc]
    await workers.publish(1, first=3)
    async with workers.working():
        await restored(workers)
        await workers.drained()
    assert await workers.events() == ["evt_0", "evt_3"]
    ((server, proof),) = await workers.rows("SELECT server, proof FROM restores")
    assert (server, first in proof) == ("redis", True)
    assert await workers.rows("SELECT epoch FROM redis_beats") == [(await epoch_of(workers),)]


async def test_a_stream_that_was_taken_away_is_noticed_before_its_next_entry(workers: Workers) -> None:
    await workers.publish(1)
    async with workers.working():
        await workers.drained()
        await workers.redis.delete(workers.keys.events)
        await restored(workers)
        await workers.publish(1, first=1)
        await workers.drained()
        await beaten(workers, 3)
    assert len(await workers.rows(RESTORES)) == 1


async def replace_by_hand(redis: Redis, keys: Keys) -> None:
    await redis.delete(keys.events)
    await redis.xgroup_create(keys.events, GROUP, "0", mkstream=True)


@pytest.mark.parametrize("lose", [LOSSES["deleted"], LOSSES["renamed"], replace_by_hand])
async def test_a_stream_that_was_taken_away_before_any_ack_is_noticed(
    workers: Workers, lose: Callable[[Redis, Keys], object]
) -> None:
    await workers.publish(2)
    first = await epoch_of(workers)
    await lose(workers.redis, workers.keys)  # type: ignore[misc]
    async with workers.working():
        await restored(workers)
        await workers.publish(1, first=3)
        await workers.drained()
        await beaten(workers, 3)
    assert await workers.rows("SELECT server, proof FROM restores") == [
        ("redis", f"a gateway was confirmed entry {first}; it ends at 0-0")
    ]
    names = [line.partition(":")[0] for line in await workers.findings()]
    assert sorted(names) == ["lost_event", "restore_not_acknowledged"]


async def test_a_note_of_a_gateway_is_a_finding_before_a_worker_takes_it(workers: Workers) -> None:
    assert await workers.findings() == []
    await workers.redis.hset(workers.keys.account, "rewound", "9-1 5-0")
    (finding,) = await workers.findings()
    assert finding.startswith("redis_is_older:")
    assert "'confirmed_entry': '9-1'" in finding
