"""FLUSHALL under load. What is in Postgres is not applied twice; what only Redis had comes back with the senders."""

from collections.abc import Iterable
from typing import Any

from tests.support.events import signed_stripe
from tests.support.harness import Harness
from tests.support.load import client, deliver
from tests.support.wait import until


async def test_what_was_applied_is_not_applied_again(harness: Harness) -> None:
    """Nothing in the system can know of what was in Redis alone: the workers say that Redis was wiped, and the way back
    are the senders' own lists of events. Here they deliver everything again."""
    await harness.add_workers(2)
    await harness.add_gateways(1)
    async with harness.load() as load, harness.redis() as redis:
        await load.promised(150)
        for worker in harness.workers:
            worker.pause()
        await load.promised(50)
        assert await redis.xlen(harness.keys.events) > 0
        await redis.flushall()
        for worker in harness.workers:
            worker.resume()
        await load.promised(50)
        await until(lambda: any("Redis was wiped" in worker.log for worker in harness.workers), what="a worker says so")
    assert await _deliver(harness, load.events.values()) == {200, 202}

    broken = await harness.check_promises(one_202_each=False)
    assert broken, "entries that were only in Redis are gone"
    assert all(line.startswith(("missing: entry ", "audit: restore_not_acknowledged")) for line in broken), broken
    async with harness.database() as connection:
        applied = {row["event_id"] for row in await connection.fetch("SELECT event_id FROM events")}
        assert applied == set(load.events), "but their events are applied, from the entries of the second delivery"
        assert await connection.fetchval("SELECT count(*) FROM duplicates") > 0


async def _deliver(harness: Harness, events: Iterable[dict[str, Any]]) -> set[int]:
    statuses = set()
    async with client() as session:
        for event in events:
            signed = signed_stripe(event)
            answer = await deliver(session, harness.urls[0], signed)
            harness.history.answered(signed.event_id, answer.status, answer.document.get("entry_id"))
            statuses.add(answer.status)
    return statuses
