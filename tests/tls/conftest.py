"""Servers with TLS, and certificates by an authority of the tests' own."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.certificates import DAY, Authority, Pem
from tests.support.secure import LOCALHOST, SecurePostgres, SecureValkey


@dataclass(frozen=True)
class Certificates:
    """One that is right, those that must be refused, and one of ours for servers that want one."""

    authority: Authority
    another: Authority
    right: Pem
    other_name: Pem
    expired: Pem
    ours: Pem


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """All of them."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    return Certificates(
        authority,
        Authority(folder / "another"),
        authority.issue(LOCALHOST),
        authority.issue("redis.example"),
        authority.issue(LOCALHOST, file="expired", ago=5 * DAY),
        authority.issue("payments_worker"),
    )


@pytest.fixture(scope="session")
def secure_redis(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureValkey]:
    """A Redis with TLS only."""
    server = SecureValkey(tmp_path_factory.mktemp("redis"), certificates.authority, certificates.right)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def secure_postgres(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePostgres]:
    """A PostgreSQL with TLS."""
    server = SecurePostgres(tmp_path_factory.mktemp("postgres"), certificates.authority, certificates.right)
    server.start()
    yield server
    server.kill()
