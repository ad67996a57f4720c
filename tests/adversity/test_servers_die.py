"""kill -9 of Redis and of Postgres under load: what was promised is applied, once."""

from tests.support.harness import Harness


async def test_redis_is_killed_and_comes_back(harness: Harness) -> None:
    await harness.add_workers(2)
    await harness.add_gateways(2)
    async with harness.load() as load:
        for _ in range(2):
            await load.promised(150)
            harness.valkey.kill()
            await load.refused(20)
            await harness.valkey.restart()
        await load.promised(50)
    assert await harness.check_promises() == []


async def test_postgres_is_killed_again_and_again(fragile_rig: Harness) -> None:
    harness = fragile_rig
    await harness.add_workers(2)
    await harness.add_gateways(1)
    async with harness.load() as load:
        for _ in range(3):
            await load.promised(150)
            harness.postgres.kill()
            await load.promised(50)  # the gateway does not need Postgres
            await harness.postgres.restart()
        await load.promised(50)
    assert set(harness.history.statuses) == {200, 202}
    assert await harness.check_promises() == []
