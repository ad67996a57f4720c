"""Gateway, workers and commands work over TLS; a certificate that expires meanwhile loses nothing, and heals."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from redis.asyncio import Redis

from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from tests.support.database import CONNECT_TIMEOUT_S, LOCK_WAIT_S, WORKERS_ROLE, as_worker
from tests.support.harness import Harness
from tests.support.history import History
from tests.support.processes import Programs
from tests.support.secure import SecurePostgres, SecureValkey
from tests.support.wait import until
from tests.tls.conftest import Certificates


@pytest_asyncio.fixture
async def harness(
    secure_redis: SecureValkey, secure_postgres: SecurePostgres, programs: Programs, tmp_path: Path, key_prefix: str
) -> AsyncIterator[Harness]:
    """The whole system, every link of which has TLS."""
    async with connect(secure_postgres.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await migrate(connection, lock_wait_s=LOCK_WAIT_S)
        await grant_rights(connection, as_worker(secure_postgres.url))
    with History(tmp_path / "history.jsonl") as history:
        servers = (secure_redis, secure_postgres, secure_postgres.url)
        async with Harness(*servers, programs, history, key_prefix) as harness:
            yield harness


async def test_an_expired_certificate_stops_work_with_a_sentence_and_nothing_is_lost(
    harness: Harness, secure_redis: SecureValkey, secure_postgres: SecurePostgres, certificates: Certificates
) -> None:
    (worker,) = await harness.add_workers(1)
    await harness.add_gateways(1)
    (gateway,) = harness.gateways
    async with harness.load(senders=4) as load, Redis.from_url(secure_redis.url, protocol=2) as redis:
        await load.promised(20)
        async with harness.database() as connection:
            links = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = $1"
            assert await connection.fetchval(links, WORKERS_ROLE)
        await secure_postgres.present(certificates.expired)
        await until(lambda: "certificate has expired" in worker.log, what="the worker says why")
        await secure_redis.present(certificates.expired, redis)
        await until(lambda: "certificate has expired" in gateway.log, what="the gateway says why")
        await secure_redis.present(certificates.right, redis)
        await secure_postgres.present(certificates.right)
        await load.promised(20)
    assert await harness.check_promises() == []


async def test_commands_read_and_migrate_over_tls(harness: Harness, programs: Programs) -> None:
    own = harness.servers_env | {"MIGRATE_DATABASE_URL": harness.database_url}
    code, output, errors = await programs.run("operations", own, "status", "--json")
    assert code == 0, errors
    assert '"reachable": true' in output
    code, output, errors = await programs.run("sql", own, "migrate")
    assert code == 0, errors
