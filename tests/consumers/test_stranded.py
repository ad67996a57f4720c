"""Entries that were read, and that nobody has, are found and applied once: XGROUP and XACK lose nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from consumers.scripts import Scripts
from consumers.stream_stats import read_stream_stats
from contract.event import Event
from contract.keys import GROUP
from operations.pending import list_pending
from operations.pending_reason import STRANDED, WorkerLimits
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.pending_list import PendingList
from tests.support.stream_states import say
from tests.support.wait import until

Act = Callable[[Workers], Any]


async def make_again_at_the_end(workers: Workers) -> None:
    await workers.redis.xgroup_destroy(workers.keys.events, GROUP)
    await workers.redis.xgroup_create(workers.keys.events, GROUP, "$")


async def acknowledge_all(workers: Workers) -> None:
    await workers.redis.xack(workers.keys.events, GROUP, *workers.stream.ids)


async def both_acts(workers: Workers) -> None:
    await workers.redis.xgroup_setid(workers.keys.events, GROUP, "$")
    await workers.redis.xgroup_delconsumer(workers.keys.events, GROUP, "worker-7")


ACTS: dict[str, Act] = {
    "XGROUP DELCONSUMER": lambda w: w.redis.xgroup_delconsumer(w.keys.events, GROUP, "worker-7"),
    "XGROUP SETID $": lambda w: w.redis.xgroup_setid(w.keys.events, GROUP, "$"),
    "XGROUP SETID $, and DELCONSUMER": both_acts,
    "XGROUP SETID 0": lambda w: w.redis.xgroup_setid(w.keys.events, GROUP, "0"),
    "XGROUP DESTROY and CREATE $": make_again_at_the_end,
    "XACK": acknowledge_all,
    "XCLAIM JUSTID by a stranger": lambda w: w.redis.xclaim(
        w.keys.events, GROUP, "somebody", 0, [*map(str.encode, w.stream.ids)], justid=True
    ),
}


@pytest.mark.parametrize("act", ACTS)
async def test_what_an_operator_took_from_the_pending_list_is_applied_once(workers: Workers, act: str) -> None:
    await workers.publish(6)
    await workers.stream.read("worker-7", 4)
    await ACTS[act](workers)
    async with workers.working(), workers.working():
        await until(lambda: workers.has_applied(6), what="all are applied")
        await workers.drained()
        await workers.publish(1, first=6)
        await until(lambda: workers.has_applied(7), what="new ones are applied too")
    assert await workers.findings() == []
    assert await workers.rows("SELECT FROM duplicates") == []


async def test_entries_of_a_living_worker_whose_consumer_is_deleted_are_applied_once(workers: Workers) -> None:
    async with workers.working(retry_delay_ms=200, busy_delay_ms=100) as _, workers.working():
        for n in range(5):
            await workers.publish(10, first=10 * n)
            for name in await workers.names():
                await workers.redis.xgroup_delconsumer(workers.keys.events, GROUP, name)
        await until(lambda: workers.has_applied(50), what="all are applied")
        await workers.drained()
    assert await workers.findings() == []


async def requeue(scripts: Scripts, cursor: str = "-", page: int = 10) -> tuple[str, bool, int]:
    return await scripts.requeue_stranded("worker-1", idle_ms=60_000, cursor=cursor, page=page)


async def test_nothing_is_looked_through_where_the_numbers_show_that_nothing_is_stranded(
    scripts: Scripts, pel: PendingList
) -> None:
    assert await requeue(scripts) == ("-", False, 0)
    await pel.add(5)
    assert await requeue(scripts) == ("-", False, 0)
    await pel.read("worker-2", 3)
    assert await requeue(scripts) == ("-", False, 0)
    assert {owner for owner, _, _ in (await pel.pending()).values()} == {"worker-2"}


async def test_stranded_entries_are_put_back_page_by_page_and_once(scripts: Scripts, pel: PendingList) -> None:
    added = await pel.add(5)
    await pel.read("worker-2", 4)
    await pel.redis.xack(pel.keys.events, GROUP, *added[1:4])
    assert await requeue(scripts, page=3) == (f"({added[2]}", True, 2)
    assert await requeue(scripts, f"({added[2]}", page=3) == ("-", True, 1)
    assert await requeue(scripts, page=3) == ("-", False, 0)
    pending = await pel.pending()
    assert {entry_id: (owner, deliveries) for entry_id, (owner, deliveries, _) in pending.items()} == {
        added[0]: ("worker-2", 1), **dict.fromkeys(added[1:4], ("worker-1", 1)),
    }  # fmt: skip
    assert all(idle_ms >= 60_000 for owner, _, idle_ms in pending.values() if owner == "worker-1")


async def test_where_the_lag_is_unknown_one_page_is_looked_through(scripts: Scripts, pel: PendingList) -> None:
    added = await pel.add(6)
    await pel.read("worker-2", 3)
    await pel.redis.xack(pel.keys.events, GROUP, added[0])
    await pel.redis.xdel(pel.keys.events, added[4])
    stats = await read_stream_stats(pel.redis, pel.keys)
    assert stats.group
    assert (stats.group.lag_is_estimated, stats.stranded) == (True, 1)
    assert (await requeue(scripts))[2] == 1
    assert (await read_stream_stats(pel.redis, pel.keys)).stranded == 0


async def strand(workers: Workers) -> Event:
    event = contract_event("evt_s", "pi_s")
    await workers.stream.publish(event)
    await workers.stream.read("worker-7")
    await workers.redis.xgroup_delconsumer(workers.keys.events, GROUP, "worker-7")
    return event


async def test_pending_status_and_why_show_what_nobody_has(workers: Workers) -> None:
    await strand(workers)
    (entry_id,) = workers.stream.ids
    page = await list_pending(workers.redis, workers.keys, WorkerLimits.of(workers.settings), limit=9)
    assert (page.entries, page.stranded) == ([], [entry_id])
    said = await say(workers.settings, "pending")
    assert f"{entry_id}: {STRANDED}" in " ".join(said.text.split())
    assert (await say(workers.settings, "pending", "--json")).json["stranded"] == [
        {"entry_id": entry_id, "why": STRANDED}
    ]
    assert (await say(workers.settings, "status", "--json")).json["redis"]["stream"]["stranded"] == 1
    assert "held by nobody" in (await say(workers.settings, "status")).text
    why = (await say(workers.settings, "why", "evt_s", "--json")).json
    assert STRANDED in str(why)
