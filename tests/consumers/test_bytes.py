"""A worker's memory is limited in bytes, not only in entries: each may be a megabyte."""

from consumers.delay_queue import DelayQueue
from consumers.entry import Entry
from consumers.handlers import Connection, Handlers, Retry
from consumers.stream import ENTRIES_READ_AT_ONCE
from contract.event import Event
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.wait import until

BODY = b'{"x": "' + b"y" * 10_000 + b'"}'
BATCHES = "SELECT count(*) FROM events GROUP BY committed_at ORDER BY committed_at"
"""Entries of each transaction: `committed_at` is the transaction's own time."""


async def publish(workers: Workers, count: int) -> None:
    for n in range(count):
        await workers.stream.publish(contract_event(f"evt_{n}", f"pi_{n}", type="thing.made", body=BODY))


async def test_small_entries_are_read_up_to_the_batch_size(workers: Workers) -> None:
    await publish(workers, 2 * ENTRIES_READ_AT_ONCE + 10)
    async with workers.working(batch_bytes_max=10 * len(BODY) * ENTRIES_READ_AT_ONCE):
        await workers.drained()
    assert await workers.rows(BATCHES) == [(2 * ENTRIES_READ_AT_ONCE + 10,)]


async def test_a_batch_of_large_entries_ends_with_its_bytes(workers: Workers) -> None:
    await publish(workers, 2 * ENTRIES_READ_AT_ONCE + 10)
    async with workers.working(batch_bytes_max=2 * len(BODY)):
        await workers.drained()
    assert await workers.rows(BATCHES) == [(ENTRIES_READ_AT_ONCE,), (ENTRIES_READ_AT_ONCE,), (10,)]


async def test_a_reclaimed_batch_ends_with_its_bytes(workers: Workers) -> None:
    await publish(workers, 7)
    await workers.stream.read("worker-7", 7)
    async with workers.working(batch_bytes_max=2 * len(BODY)):
        await workers.drained()
    assert await workers.rows(BATCHES) == [(2,), (2,), (2,), (1,)]


async def test_a_worker_with_too_many_bytes_delayed_reads_no_more(workers: Workers) -> None:
    handlers = Handlers()

    @handlers.on("stripe", "thing.made")
    async def wait(_connection: Connection, _event: Event) -> None:
        raise Retry("not yet", after=600)

    await publish(workers, 3 * ENTRIES_READ_AT_ONCE)
    async with workers.working(handlers, batch_bytes_max=1, parked_bytes_max=len(BODY)) as running:
        await until(lambda: "nothing" in running.progress.last, what="the worker has nothing to do")
        (group,) = await workers.redis.xinfo_groups(workers.keys.events)
        assert group["pending"] == ENTRIES_READ_AT_ONCE
    assert await workers.events() == []


def test_the_delay_queue_sums_its_bytes() -> None:
    heavy = [Entry(f"{n}-0", 1, contract_event(f"evt_{n}"), {b"body": BODY}) for n in range(3)]
    queue = DelayQueue()
    queue.add(heavy, 1.0)
    assert queue.size_bytes == 3 * len(BODY)
    assert queue.take_due(2.0, 10, bytes_max=len(BODY)) == (heavy[:1], [])
    assert queue.take_due(2.0, 10) == (heavy[1:], [])
    assert queue.size_bytes == 0
