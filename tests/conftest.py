"""Real servers, one pair per test process; a database and a key prefix of its own for each test."""

import gc
import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from redis.asyncio import Redis

from consumers.settings import Settings
from contract.keys import Keys
from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, as_worker, fresh_database, make_template
from tests.support.ordering import begin_with_long
from tests.support.processes import Programs
from tests.support.servers import POSTGRES_IN_HASTE, PostgresServer, Server, ValkeyServer, as_user, in_memory
from tests.support.stream_states import Stream, settings_for

AnyServer = TypeVar("AnyServer", bound=Server)

hypothesis_settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tests")
"""How long an example takes on a busy machine says nothing about the code."""

hypothesis_settings.register_profile("prove", hypothesis_settings.get_profile("tests"), max_examples=1500)
"""`--hypothesis-profile=prove`, as `make prove` asks for: 15 times as many histories."""

collect_ignore = ["adversity", "browser", "observability", "older_postgres", "pooler", "tls", "whole_stack"]
"""Each has a command of its own, `make test-…`, which CI runs too: two take minutes, five need Debian packages."""

_prefix_number = itertools.count(1)


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `make test` takes: many tests wait, for servers and programs, while another could work.

    With three on two cores a fifth of the processor time was left.
    """
    return max(2, (os.cpu_count() or 1) * 2)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage meanwhile, and never look through the collected ones again.

    12,000 tests are millions of objects, all of which stay. Looking through them took two fifths of the collection's
    processor time, in each process of pytest. What tests make later is looked through as ever.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes long first."""
    items[:] = begin_with_long(items, getattr(config, "workerinput", {}).get("workercount", 1))


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """The shared Valkey. A test that kills or reconfigures one takes `private_valkey`."""
    yield from _running(ValkeyServer(tmp_path_factory.mktemp("valkey")))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The shared PostgreSQL. A test that kills one takes `private_postgres`."""
    with in_memory(tmp_path_factory.mktemp("postgres")) as folder:
        yield from _running(PostgresServer(folder, POSTGRES_IN_HASTE))


@pytest.fixture
def private_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey of the test's own, to kill, freeze and reconfigure."""
    yield from _running(ValkeyServer(tmp_path / "valkey"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_postgres(tmp_path_factory: pytest.TempPathFactory) -> PostgresServer:
    """A stopped one with a migrated database, to be copied."""
    server = PostgresServer(tmp_path_factory.mktemp("migrated"))
    server.start()
    try:
        async with connect(server.url, timeout_s=CONNECT_TIMEOUT_S) as admin:
            await migrate(admin, lock_wait_s=LOCK_WAIT_S)
            await grant_rights(admin, as_worker(server.url))
    finally:
        server.stop()
    return server


@pytest.fixture
def private_postgres(migrated_postgres: PostgresServer, tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own with a migrated database (`.url`), as durable as production's."""
    yield from _running(migrated_postgres.copy(tmp_path / "postgres"))


@pytest_asyncio.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the shared Valkey that gives bytes."""
    async with Redis.from_url(valkey.url, decode_responses=False, protocol=3) as client:
        yield client


@pytest.fixture
def key_prefix() -> str:
    """A prefix that no other test uses on the shared Valkey."""
    return f"test{os.getpid()}-{next(_prefix_number)}"


@pytest.fixture
def keys(key_prefix: str) -> Keys:
    """The names below this test's prefix."""
    return Keys(key_prefix)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_with_template(postgres: PostgresServer) -> PostgresServer:
    """The shared PostgreSQL, once its template is migrated."""
    await make_template(postgres)
    return postgres


@pytest_asyncio.fixture
async def database_url(postgres_with_template: PostgresServer) -> AsyncIterator[str]:
    """A fresh migrated database."""
    async with fresh_database(postgres_with_template) as url:
        yield url


@pytest_asyncio.fixture
async def empty_database_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """A fresh database without any table."""
    async with fresh_database(postgres, "template0") as url:
        yield url


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to this test's database."""
    async with connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as connected:
        yield connected


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts `python -m gateway` and `python -m consumers`; their logs are shown where the test fails."""
    with Programs(tmp_path / "programs") as started:
        yield started


@pytest.fixture
def stream(redis: Redis, keys: Keys) -> Stream:
    """This test's stream, to be brought into a state."""
    return Stream(redis, keys)


@pytest.fixture
def settings(valkey: ValkeyServer, database_url: str, key_prefix: str) -> Settings:
    """Both servers at hand, with the rights that workers have, and no metrics port."""
    return settings_for(as_user("workers", valkey.url), as_worker(database_url), key_prefix)


@pytest.fixture
def workers(stream: Stream, connection: asyncpg.Connection, settings: Settings) -> Workers:
    """Workers on both servers, within this process."""
    return Workers(stream, connection, settings)


def _running(server: AnyServer) -> Iterator[AnyServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()
