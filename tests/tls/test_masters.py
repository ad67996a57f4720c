"""The master behind a sentinel, and each node of a cluster, is found over TLS and verified by its name."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from contract.keys import Keys
from runtime.redis_connection import client, single_connection
from runtime.redis_wire import exchange
from tests.support.secure import SecureCluster, SecureSentinel, SecureValkey
from tests.tls.conftest import Certificates
from tests.tls.test_refused import AUTHORITY, TIMEOUT_S, why_not_redis

ON_EACH_NODE = (3, 1, 0)
"""Partitions, of which each of three masters has one."""


@pytest.fixture
def sentinel(secure_redis: SecureValkey, certificates: Certificates, tmp_path: Path) -> Iterator[SecureSentinel]:
    """One sentinel, and one master."""
    server = SecureSentinel(tmp_path / "sentinel", secure_redis, certificates.authority, certificates.right)
    server.start()
    yield server
    server.kill()


@pytest_asyncio.fixture
async def cluster(certificates: Certificates, tmp_path: Path) -> AsyncIterator[SecureCluster]:
    """Three masters."""
    nodes = SecureCluster(tmp_path / "cluster", certificates.authority, certificates.right)
    try:
        await nodes.start()
        yield nodes
    finally:
        nodes.kill()


async def test_a_sentinel_and_its_master_are_verified(sentinel: SecureSentinel, certificates: Certificates) -> None:
    assert await why_not_redis(sentinel.url) == ""
    another = sentinel.url.replace(str(certificates.authority.file), str(certificates.another.file))
    assert AUTHORITY.format("ssl_ca_certs of REDIS_URL") in await why_not_redis(another)


async def test_every_node_of_a_cluster_is_reached_by_its_name(
    cluster: SecureCluster, certificates: Certificates
) -> None:
    async with client(SecretStr(cluster.url), timeout_s=TIMEOUT_S, name="test") as redis:
        for partition, server in zip(ON_EACH_NODE, cluster.servers, strict=True):
            key = Keys("tls", partition).epoch
            await redis.set(key, "1")
            connection = single_connection(SecretStr(cluster.url), partition, connect_timeout_s=TIMEOUT_S)
            assert await exchange(connection, [("GET", key)]) == [b"1"]
            assert connection.target == ("localhost", server.port)
            await connection.disconnect()
    another = cluster.url.replace(str(certificates.authority.file), str(certificates.another.file))
    assert AUTHORITY.format("ssl_ca_certs of REDIS_URL") in await why_not_redis(another)
