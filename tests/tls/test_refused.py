"""A server that is not who it should be is refused, with a sentence that names what to change.

Run by `make test-tls`, which needs Debian's packages postgresql and redis-server.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from runtime.redis_connection import client, single_connection
from runtime.redis_wire import exchange
from sql.connect import UnreachableError, connect
from tests.support.events import SOURCES_TOML
from tests.support.processes import Programs
from tests.support.secure import SecurePostgres, SecureValkey, secure, verified
from tests.support.servers import PostgresServer, ValkeyServer
from tests.tls.conftest import Certificates

TIMEOUT_S = 5.0

AUTHORITY = "not from an authority in {}"
NAME = "for another name than the address has"
EXPIRED = "has expired"
FILE = "cannot be read"


async def why_not_postgres(url: str) -> str:
    """The sentence; '' if it is reached."""
    try:
        async with connect(url, timeout_s=TIMEOUT_S) as connection:
            assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    except UnreachableError as error:
        return str(error)
    return ""


async def why_not_redis(url: str) -> str:
    """What a client and the gateway's connection say, once if it is the same; '' if it is reached."""
    sentences = set()
    try:
        async with client(SecretStr(url), timeout_s=TIMEOUT_S, name="test") as redis:
            await redis.ping()
    except RedisError as error:
        sentences.add(str(error))
    connection = single_connection(SecretStr(url), connect_timeout_s=TIMEOUT_S)
    try:
        await exchange(connection, [("PING",)])
    except RedisError as error:
        sentences.add(str(error))
    finally:
        await connection.disconnect()
    return " | ".join(sorted(sentences))


@asynccontextmanager
async def other_certificate(
    servers: tuple[SecureValkey, SecurePostgres], certificates: Certificates, name: str
) -> AsyncIterator[None]:
    """Both servers have another certificate, until the block ends."""
    redis_server, postgres = servers
    async with Redis.from_url(redis_server.url, protocol=2) as redis:
        await redis_server.present(getattr(certificates, name), redis)
        await postgres.present(getattr(certificates, name))
        try:
            yield
        finally:
            await redis_server.present(certificates.right, redis)
            await postgres.present(certificates.right)


@pytest.fixture
def servers(secure_redis: SecureValkey, secure_postgres: SecurePostgres) -> tuple[SecureValkey, SecurePostgres]:
    return secure_redis, secure_postgres


@pytest.mark.parametrize(("certificate", "sentence"), [("other_name", NAME), ("expired", EXPIRED)])
async def test_a_certificate_that_is_wrong_is_named_and_heals(
    servers: tuple[SecureValkey, SecurePostgres], certificates: Certificates, certificate: str, sentence: str
) -> None:
    async with other_certificate(servers, certificates, certificate):
        assert sentence in await why_not_redis(servers[0].url)
        assert sentence in await why_not_postgres(servers[1].url)
    assert await why_not_redis(servers[0].url) == await why_not_postgres(servers[1].url) == ""


async def test_another_authoritys_certificate_is_named_with_the_option(
    servers: tuple[SecureValkey, SecurePostgres], certificates: Certificates
) -> None:
    redis, postgres = servers
    another = certificates.another.file
    redis_says = await why_not_redis(secure(redis.plain_url, another))
    assert AUTHORITY.format("ssl_ca_certs of REDIS_URL") in redis_says
    postgres_says = await why_not_postgres(verified(postgres.plain_url, another))
    assert AUTHORITY.format("sslrootcert of its address") in postgres_says


async def test_a_file_that_does_not_exist_is_named_with_the_option(
    servers: tuple[SecureValkey, SecurePostgres], tmp_path: Path
) -> None:
    redis, postgres = servers
    missing = tmp_path / "missing.crt"
    assert "a file that REDIS_URL names cannot be read" in await why_not_redis(secure(redis.plain_url, missing))
    says = await why_not_postgres(verified(postgres.plain_url, missing))
    assert "a file that sslrootcert, sslcert or sslkey of its address names cannot be read" in says


async def test_a_plain_server_that_is_spoken_to_in_tls(
    private_valkey: ValkeyServer, private_postgres: PostgresServer, certificates: Certificates
) -> None:
    authority = certificates.authority.file
    assert "for which rediss in REDIS_URL asks" in await why_not_redis(secure(private_valkey.url, authority))
    says = await why_not_postgres(verified(private_postgres.url, authority))
    assert "it has no TLS (ssl = off), for which sslmode of its address asks" in says


async def test_a_server_with_tls_that_is_spoken_to_without(secure_redis: SecureValkey) -> None:
    assert "if it speaks TLS, REDIS_URL begins with rediss" in await why_not_redis(secure_redis.plain_url)


async def test_a_certificate_of_ours_lets_us_in_where_a_server_wants_one(
    certificates: Certificates, tmp_path: Path
) -> None:
    ours, authority = certificates.ours, certificates.authority
    redis = SecureValkey(tmp_path / "redis", authority, certificates.right, wants_ours=True)
    redis.start()
    try:
        assert "ssl_certfile and ssl_keyfile of REDIS_URL name one" in await why_not_redis(redis.url)
        named = f"{redis.url}&ssl_certfile={ours.certificate}&ssl_keyfile={ours.key}"
        assert await why_not_redis(named) == ""
    finally:
        redis.kill()
    postgres = SecurePostgres(tmp_path / "postgres", authority, certificates.right)
    postgres.start()
    try:
        await postgres.require_certificates()
        assert "requires a valid client certificate" in await why_not_postgres(postgres.url)
        assert await why_not_postgres(f"{postgres.url}&sslcert={ours.certificate}&sslkey={ours.key}") == ""
    finally:
        postgres.kill()


async def test_make_check_names_the_setting_and_says_what_is_wrong(
    servers: tuple[SecureValkey, SecurePostgres], certificates: Certificates, programs: Programs
) -> None:
    redis, postgres = servers
    (programs.folder / "sources.toml").write_text(SOURCES_TOML)
    right: Mapping[str, str] = {"REDIS_URL": redis.url, "DATABASE_URL": postgres.url, "STACK": "embedded"}
    another = certificates.another.file
    wrong = {"REDIS_URL": secure(redis.plain_url, another), "DATABASE_URL": verified(postgres.plain_url, another)}
    code, output, errors = await programs.run("stack", right, "check")
    assert code == 0, output + errors
    for name, url in wrong.items():
        code, output, errors = await programs.run("stack", {**right, name: url}, "check")
        assert code != 0
        (line,) = [line for line in (output + errors).splitlines() if f"{name}: your server at" in line]
        assert "its certificate is not from an authority in" in line
