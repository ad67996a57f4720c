"""Workers come and go while events flow: nothing is lost, and no name stays behind."""

from contract.keys import GROUP
from tests.support.rig import Rig
from tests.support.wait import until


async def test_workers_are_scaled_up_and_down_while_events_flow(rig: Rig) -> None:
    await rig.add_workers(1)
    await rig.add_gateways(1)
    async with rig.load() as load:
        await load.promised(50)
        await rig.add_workers(3)
        await load.promised(100)
        for worker in rig.workers[:3]:
            await rig.stop_worker(worker)
            await load.promised(30)
    assert set(rig.history.statuses) == {200, 202}
    assert await rig.verdict() == []
    await until(lambda: _names(rig, 1), what="one name is left")


async def test_the_last_worker_leaves_and_events_wait_for_the_next(rig: Rig) -> None:
    await rig.add_workers(2)
    await rig.add_gateways(1)
    async with rig.load() as load:
        await load.promised(50)
        for worker in list(rig.workers):
            await rig.stop_worker(worker)
        await load.promised(50)
    assert not await rig.is_empty()
    await rig.add_workers(1)
    assert await rig.verdict() == []


async def _names(rig: Rig, count: int) -> bool:
    async with rig.redis() as redis:
        return len(await redis.xinfo_consumers(rig.keys.events, GROUP)) == count
