"""A worker notices that Redis or Postgres was restored from an older copy, once, and what follows from it."""

from collections.abc import Callable
from typing import cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from consumers import restore_watch
from consumers.restored import ENTRIES_WERE_DELETED, POSTGRES_WAS_RESTORED, REDIS_WAS_RESTORED
from consumers.scripts import Scripts
from contract.keys import COMMITTED, GROUP, Keys, committed_marker, entry_number
from tests.support.consuming import Running, Workers
from tests.support.events import contract_event
from tests.support.pending_list import PendingList
from tests.support.restores import RESTORES, beaten, restored
from tests.support.wait import until


@pytest.fixture(autouse=True)
def _beats_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_watch, "BEAT_PAUSE_MS", 50)


async def lose_commits(workers: Workers, *event_ids: str) -> None:
    """Leave Postgres as an older backup would."""
    await workers.connection.execute("DELETE FROM payloads WHERE event_id = ANY ($1)", event_ids)
    await workers.connection.execute("DELETE FROM events WHERE event_id = ANY ($1)", event_ids)


async def marker(workers: Workers, event_id: str) -> bytes | None:
    return cast("bytes | None", await workers.redis.get(workers.keys.seen("stripe", event_id)))


async def test_commits_that_postgres_lost_are_noticed_and_their_markers_count_no_more(workers: Workers) -> None:
    await workers.publish(2)
    with capture_logs() as logs:
        async with workers.working() as worker:
            await workers.drained()
            assert await marker(workers, "evt_1") == COMMITTED
            await lose_commits(workers, "evt_0", "evt_1")
            await restored(workers)
            await workers.publish(1, first=7)
            await workers.drained()
            assert worker.counted("restores_total") == 1
    assert [line["proof"] for line in logs if line["event"] == POSTGRES_WAS_RESTORED] == ["it lacks stripe:evt_1"]
    assert await workers.rows(RESTORES) == [("postgres", 1)]
    assert (await marker(workers, "evt_1"), await marker(workers, "evt_7")) == (COMMITTED, committed_marker(1))
    assert await workers.redis.hget(workers.keys.account, "restores") == b"1"


async def test_a_worker_that_starts_notices_commits_that_were_lost_while_none_ran(workers: Workers) -> None:
    await workers.publish(1)
    async with workers.working():
        await workers.drained()
    await lose_commits(workers, "evt_0")
    async with workers.working():
        await restored(workers)
        await workers.publish(1, first=1)
        await workers.drained()
    assert await workers.rows(RESTORES) == [("postgres", 1)]
    assert await marker(workers, "evt_1") == committed_marker(1)


async def test_several_workers_notice_one_restore_once(workers: Workers) -> None:
    async with workers.working(batch_size=1), workers.working(batch_size=1), workers.working(batch_size=1):
        await workers.publish(60)
        await workers.drained()
        await lose_commits(workers, *await workers.events())
        await restored(workers)
        await workers.publish(60, first=100)
        await workers.drained()
    assert set(await workers.rows(RESTORES)) == {("postgres", 1)}


async def test_a_restore_of_postgres_to_before_the_last_noticed_one_is_another(workers: Workers) -> None:
    async with workers.working():
        await workers.publish(1)
        await workers.drained()
        await lose_commits(workers, "evt_0")
        await restored(workers)
        await workers.connection.execute("DELETE FROM restores")
        await restored(workers)
    assert await workers.rows(RESTORES) == [("postgres", 2)]


REWINDS: dict[str, Callable[[Redis, Keys], object]] = {
    "an older account": lambda redis, keys: redis.hset(keys.account, "beat", "0"),
    "no account": lambda redis, keys: redis.delete(keys.account),
    "wiped": lambda redis, keys: redis.delete(keys.account, keys.applied, keys.events, keys.epoch),
}


@pytest.mark.parametrize("rewind", REWINDS)
async def test_a_redis_that_was_further_is_noticed(workers: Workers, rewind: str) -> None:
    with capture_logs() as logs:
        async with workers.working():
            await beaten(workers)
            await REWINDS[rewind](workers.redis, workers.keys)  # type: ignore[misc]
            await restored(workers)
            await workers.publish(1)
            await workers.drained()
    assert [line["event"] for line in logs].count(REDIS_WAS_RESTORED) == 1
    assert await workers.rows(RESTORES) == [("redis", None)]


async def test_an_epoch_that_was_deleted_alone_is_set_again(workers: Workers) -> None:
    await workers.publish(2)
    async with workers.working() as worker:
        await workers.drained()
        epoch = await workers.redis.getdel(workers.keys.epoch)

        async def is_back() -> bool:
            return await workers.redis.get(workers.keys.epoch) == epoch

        await until(is_back, what="the epoch is set again")
        assert worker.counted("restores_total") == 0
    assert await workers.findings() == []


async def test_a_redis_that_forgot_the_last_ack_is_noticed_with_the_next(workers: Workers) -> None:
    """A failover to a replica that was a moment behind: too little for a beat."""
    async with workers.working():
        await workers.publish(1)
        await workers.drained()
        await workers.redis.delete(workers.keys.seen("stripe", "evt_0"))
        await workers.publish(1, first=1)
        await restored(workers)
    assert await workers.rows("SELECT server, proof FROM restores") == [("redis", "the marker of stripe/evt_0 is gone")]


async def test_what_a_gateway_noticed_is_recorded(workers: Workers) -> None:
    await workers.redis.hset(workers.keys.account, "rewound", "9-1 5-0")
    async with workers.working():
        await restored(workers)
        await until(lambda: _is_gone(workers), what="the note is taken")
    assert await workers.rows("SELECT proof FROM restores") == [("a gateway was confirmed entry 9-1; it ends at 5-0",)]


async def _is_gone(workers: Workers) -> bool:
    return not await workers.redis.hexists(workers.keys.account, "rewound")


async def test_after_a_restore_of_redis_no_entry_id_is_given_twice(workers: Workers) -> None:
    async with workers.working():
        await beaten(workers)
        await workers.publish(1)
        await workers.drained()
        await workers.connection.execute("UPDATE events SET entry_id = '99999999999999-5'")
        await workers.redis.hset(workers.keys.account, "beat", "0")
        await restored(workers)

        async def is_moved() -> bool:
            info = await workers.redis.xinfo_stream(workers.keys.events)
            return bool(info["last-generated-id"] == b"99999999999999-5")

        await until(is_moved, what="the stream continues after what Postgres knows")
        (entry_id,) = await workers.publish(1, first=1)
    assert entry_number(entry_id) > (99999999999999, 5)


async def test_an_entry_id_given_twice_is_not_taken_for_the_dead_letter_of_another_event(workers: Workers) -> None:
    (entry_id,) = await workers.publish(1)
    await workers.connection.execute(
        "INSERT INTO dead_letters (entry_id, namespace, event_id, reason, traceback, attempts, field_names,"
        " field_values) VALUES ($1, 'stripe', 'evt_other', 'no', '', 1, '{}', '{}')",
        entry_id,
    )
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_0"]


async def deleted(running: Running, n: int) -> None:
    async def are() -> bool:
        return running.counted("entries_gone_total") == n

    await until(are, what=f"{n} entries are missed")


async def test_unread_entries_that_somebody_deletes_are_reported_once(workers: Workers) -> None:
    async with workers.working():
        await beaten(workers)
    await workers.publish(5)
    await workers.redis.xtrim(workers.keys.events, maxlen=2, approximate=False)
    with capture_logs() as logs:
        async with workers.working() as running:
            await deleted(running, 3)
            await workers.drained()
            await workers.publish(3, first=10)
            await workers.drained()
            await beaten(workers, 3)
    assert [line["entries"] for line in logs if line["event"] == ENTRIES_WERE_DELETED] == [3]


async def test_a_worker_that_does_not_count_silences_the_report(
    redis: Redis, keys: Keys, scripts: Scripts, pel: PendingList
) -> None:
    """Workers of version 0.2 delete what they acknowledge without counting it."""

    async def missed() -> int:
        return (await scripts.keep_account("worker-9", 0, 0)).deleted

    await pel.add(4)
    assert await missed() == 0
    a, b = await pel.read("worker-1", 2)
    await redis.xack(keys.events, GROUP, a)
    await redis.xdel(keys.events, a)
    assert await missed() == 0, "worker-1 is of the version before"
    await redis.hset(keys.applied, "worker-1", "")
    await redis.xdel(keys.events, b)
    assert await missed() == 1
    assert await missed() == 0
    await redis.delete(keys.events, keys.epoch)
    assert await missed() == 0


async def test_a_worker_of_today_works_with_the_schema_before(workers: Workers) -> None:
    await workers.connection.execute("DROP TABLE restores, acknowledgements, redis_beats")
    await workers.stream.publish(contract_event())
    async with workers.working():
        await workers.drained()
    assert len(await workers.events()) == 1
