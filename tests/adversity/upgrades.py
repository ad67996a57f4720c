"""A rolling upgrade from the last release while everything breaks: schema first, then one program after another."""

import random
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.adversity.faults import Fault, asked_to_stop
from tests.support.database import as_worker
from tests.support.harness import Harness
from tests.support.processes import ROOT, Programs

STEPS = 10
"""As many as there are other things that die: a step is taken every few faults."""

BACK_SHARE = 0.2
"""How often a program is rolled back instead."""

EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"


class Upgrade:
    """The programs of the last release and of today, and how far the upgrade is."""

    def __init__(self, harness: Harness, before: Programs) -> None:
        self._harness = harness
        self._before, self._today = before, harness.programs
        self._owner = harness.worker_to_postgres.url(harness.database_url)
        self._worker_env = dict(harness.worker_env)
        self._is_migrated = False

    async def install(self) -> None:
        """Make the database and the harness those of the last release, whose workers owned the tables."""
        async with self._harness.database() as connection:
            await connection.execute(EMPTY)
        code, _, errors = await self._before.run("sql", {"DATABASE_URL": self._owner}, "migrate")
        assert code == 0, errors
        env = {name: value for name, value in self._worker_env.items() if name != "HANDLERS"}
        self._harness.worker_env = env | {"DATABASE_URL": self._owner}
        self._harness.programs = self._before

    @asynccontextmanager
    async def step(self, harness: Harness, rng: random.Random) -> AsyncIterator[None]:
        """The migration the first time; then another worker and perhaps a gateway, of today's mostly."""
        if not self._is_migrated:
            await self._migrate()
        harness.programs = self._before if rng.random() < BACK_SHARE else self._today
        await self._replace_worker(rng.randrange(len(harness.workers)))
        if rng.random() < 0.5:
            await self._replace_gateway(rng.randrange(len(harness.gateways)))
        harness.programs = self._today
        yield

    async def finish(self) -> None:
        """Let every program be of today, with a role that owns nothing."""
        if not self._is_migrated:
            await self._migrate()
        self._harness.programs, self._harness.worker_env = self._today, self._worker_env
        for _ in self._harness.workers[:]:
            await self._replace_worker(0)  # the new one is the last
        for number in range(len(self._harness.gateways)):
            await self._replace_gateway(number)

    async def _migrate(self) -> None:
        env = {"MIGRATE_DATABASE_URL": self._owner, "DATABASE_URL": as_worker(self._owner)}
        code, _, errors = await self._today.run("sql", env, "migrate")
        assert code == 0, errors
        self._is_migrated = True

    async def _replace_worker(self, number: int) -> None:
        worker = self._harness.workers[number]
        self._harness.replace_worker(worker)
        await asked_to_stop(worker)

    async def _replace_gateway(self, number: int) -> None:
        gateway = self._harness.gateways[number]
        await asked_to_stop(gateway)
        await self._harness.restart_gateway(gateway)


@asynccontextmanager
async def upgrading(harness: Harness) -> AsyncIterator[tuple[dict[str, Fault], Upgrade]]:
    """Begin with the last release; gives the steps of an upgrade, and what finishes it."""
    (wheel,) = (ROOT / "tests" / "releases").glob("*.whl")
    root = harness.programs.folder / "release"
    with zipfile.ZipFile(wheel) as release:
        release.extractall(root)
    with Programs(harness.programs.folder / "before", root=root, shows_logs=False) as before:
        upgrade = Upgrade(harness, before)
        await upgrade.install()
        yield {f"upgrade {number}": upgrade.step for number in range(1, STEPS + 1)}, upgrade
