"""kill -9 of Redis and of Postgres under load: what was promised is applied, once."""

from tests.support.rig import Rig


async def test_redis_is_killed_and_comes_back(rig: Rig) -> None:
    await rig.add_workers(2)
    await rig.add_gateways(2)
    async with rig.load() as load:
        for _ in range(2):
            await load.promised(150)
            rig.valkey.kill()
            await load.refused(20)
            await rig.valkey.restart()
        await load.promised(50)
    assert await rig.verdict() == []


async def test_postgres_is_killed_again_and_again(fragile_rig: Rig) -> None:
    rig = fragile_rig
    await rig.add_workers(2)
    await rig.add_gateways(1)
    async with rig.load() as load:
        for _ in range(3):
            await load.promised(150)
            rig.postgres.kill()
            await load.promised(50)  # the gateway does not need Postgres
            await rig.postgres.restart()
        await load.promised(50)
    assert set(rig.history.statuses) == {200, 202}
    assert await rig.verdict() == []
