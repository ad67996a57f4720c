"""Workers come and go while events flow: nothing is lost, and no name stays behind."""

from contract.keys import GROUP
from tests.support.harness import Harness
from tests.support.wait import until


async def test_workers_are_scaled_up_and_down_while_events_flow(harness: Harness) -> None:
    await harness.add_workers(1)
    await harness.add_gateways(1)
    async with harness.load() as load:
        await load.promised(50)
        await harness.add_workers(3)
        await load.promised(100)
        for worker in harness.workers[:3]:
            await harness.stop_worker(worker)
            await load.promised(30)
    assert set(harness.history.statuses) == {200, 202}
    assert await harness.check_promises() == []
    await until(lambda: _names(harness, 1), what="one name is left")


async def test_the_last_worker_leaves_and_events_wait_for_the_next(harness: Harness) -> None:
    await harness.add_workers(2)
    await harness.add_gateways(1)
    async with harness.load() as load:
        await load.promised(50)
        for worker in list(harness.workers):
            await harness.stop_worker(worker)
        await load.promised(50)
    assert not await harness.is_empty()
    await harness.add_workers(1)
    assert await harness.check_promises() == []


async def _names(harness: Harness, count: int) -> bool:
    async with harness.redis() as redis:
        return len(await redis.xinfo_consumers(harness.keys.events, GROUP)) == count
