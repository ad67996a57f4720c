"""Waiting for what workers notice of restored servers."""

from tests.support.consuming import Workers
from tests.support.wait import until

RESTORES = "SELECT server, number FROM restores ORDER BY id"


async def restored(workers: Workers, n: int = 1) -> None:
    """Wait until `n` restores are recorded."""

    async def are() -> bool:
        return len(await workers.rows(RESTORES)) >= n

    await until(are, what=f"{n} restores are noticed")


async def beaten(workers: Workers, at_least: int = 1) -> None:
    """Wait until Postgres keeps a beat."""

    async def has() -> bool:
        return bool(await workers.rows("SELECT FROM redis_beats WHERE beat >= $1", at_least))

    await until(has, what="Postgres keeps a beat")
