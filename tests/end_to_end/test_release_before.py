"""Programs of the release before and of today work side by side, as an upgrade or a rollback needs it."""

import compileall
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.end_to_end.conftest import PATIENT
from tests.support.harness import Harness
from tests.support.history import History
from tests.support.processes import ROOT, Programs
from tests.support.servers import PostgresServer, ValkeyServer

[WHEEL] = (ROOT / "tests" / "releases").glob("*.whl")
PAYMENTS = 30


@pytest.fixture(scope="session")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before, compiled once: otherwise each program compiles all of it, several at a time."""
    root = tmp_path_factory.mktemp("release")
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(root)
    assert compileall.compile_dir(root, quiet=1)
    return root


@pytest.fixture
def before(tmp_path: Path, release_before: Path) -> Iterator[Programs]:
    """The programs of the release before."""
    with Programs(tmp_path / "before", root=release_before) as programs:
        yield programs


@pytest_asyncio.fixture
async def upgraded(
    valkey: ValkeyServer,
    postgres_with_template: PostgresServer,
    empty_database_url: str,
    key_prefix: str,
    programs: Programs,
    history: History,
) -> AsyncIterator[Harness]:
    """The servers of an installation of the release before: the database has no table yet."""
    servers = (valkey, postgres_with_template, empty_database_url)
    async with Harness(*servers, programs, history, key_prefix, gateway_env=PATIENT) as harness:
        yield harness


async def test_programs_of_both_releases_share_the_work_on_the_new_schema(harness: Harness, before: Programs) -> None:
    today = harness.programs
    for programs in (before, today):
        harness.programs = programs
        await harness.add_gateways(1)
        await harness.add_workers(1)
    async with harness.load(payments=PAYMENTS):
        pass
    assert await harness.check_promises() == []


async def test_the_release_before_works_alone_on_the_new_schema(harness: Harness, before: Programs) -> None:
    """After a rollback the schema stays."""
    harness.programs = before
    await harness.add_gateways(1)
    await harness.add_workers(2)
    async with harness.load(payments=PAYMENTS):
        pass
    assert await harness.check_promises() == []


async def test_an_upgrade_under_load_in_the_documented_order_and_back(upgraded: Harness, before: Programs) -> None:
    today = upgraded.programs
    owner = {"DATABASE_URL": upgraded.worker_to_postgres.url(upgraded.database_url)}
    assert (await before.run("sql", owner, "migrate"))[0] == 0
    assert (await today.run("sql", owner, "status"))[0] == 1, "today's migrations are missing"
    upgraded.programs = before
    await upgraded.add_gateways(1)
    old_workers = await upgraded.add_workers(2, owner)
    async with upgraded.load() as load:
        await load.promised(50)
        assert (await today.run("sql", owner, "migrate"))[0] == 0
        await load.promised(50)
        upgraded.programs = today
        for worker in old_workers:
            await upgraded.add_workers(1, owner)
            await upgraded.stop_worker(worker)
        await load.promised(50)
        await upgraded.add_gateways(1)  # today's gateway beside the old one
        await load.promised(50)
        upgraded.programs = before
        await upgraded.add_workers(1, owner)  # a worker is rolled back
        await load.promised(50)
    assert await upgraded.check_promises() == []
