"""A process that works on several partitions applies one batch at a time, and a batch that waits takes in more."""

import asyncio
from typing import Any, cast

from consumers.handlers import Connection, Handlers
from contract.event import Event, to_entry
from contract.keys import NUMBERS_OF_PARTITION
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.wait import until

MORE = 5


async def test_what_comes_while_a_batch_waits_for_its_turn_is_applied_with_it(workers: Workers) -> None:
    handlers, has_begun, may_end = Handlers(), asyncio.Event(), asyncio.Event()
    keys = workers.keys.of(1)

    @handlers.on("stripe", "thing.held")
    async def hold(_connection: Connection, _event: Event) -> None:
        has_begun.set()
        await may_end.wait()

    async def publish(number: int) -> None:
        flat = to_entry(contract_event(f"evt_{number}", f"pi_{number}", type="thing.made"))
        fields = cast("Any", dict(zip(flat[::2], flat[1::2], strict=True)))
        await workers.redis.xadd(keys.events, fields, id=f"1-{NUMBERS_OF_PARTITION + number}")

    async def waiting() -> int:
        return sum(group["pending"] for group in await workers.redis.xinfo_groups(keys.events))

    async def is_made() -> bool:
        return bool(await workers.redis.exists(keys.events))

    async def is_first_read() -> bool:
        return await waiting() == 1

    await workers.stream.publish(contract_event("evt_held", "pi_held", type="thing.held"))
    async with workers.working(handlers, partitions=2, handler_slow_ms=60_000):
        await has_begun.wait()
        await until(is_made, what="the other partition is worked on")
        await publish(1)
        await until(is_first_read, what="the other partition has read a batch")
        for number in range(2, 2 + MORE):
            await publish(number)
        assert await waiting() == 1
        may_end.set()
        await until(lambda: workers.has_events(2 + MORE), what="all are applied")
    times = "SELECT count(*) FROM events GROUP BY committed_at ORDER BY committed_at"
    assert await workers.rows(times) == [(1,), (1 + MORE,)]
