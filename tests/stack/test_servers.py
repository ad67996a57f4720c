"""The embedded servers, with their data in a folder that only its owner may enter."""

import re
import stat
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from stack.postgres import OF_MEMORY, OF_WORKERS, Postgres, PostgresError
from stack.valkey import Valkey
from tests.support.checkout import Checkout
from tests.support.servers import PostgresServer, ValkeyServer

PASSWORD = "p@ss wörd'\"\\%/?#$x"  # characters that end quotations and URLs if they are not escaped


def test_valkey_keeps_every_write_and_evicts_nothing(tmp_path: Path) -> None:
    Valkey(tmp_path, 1, PASSWORD).command()
    written = (tmp_path / "valkey.conf").read_text()
    assert 'appendfsync "always"' in written
    assert 'maxmemory-policy "noeviction"' in written
    assert stat.S_IMODE((tmp_path / "valkey.conf").stat().st_mode) == 0o600


def test_postgres_has_the_same_settings_with_and_without_containers(tmp_path: Path) -> None:
    compose = (Path(__file__).parents[2] / "compose.yaml").read_text()
    (given,) = re.findall(r"command: \[\s*postgres,(.*?)\]\n", compose, re.DOTALL)
    in_container = set(re.findall(r"(?<=-c, )[^, \n]+", given))
    of_container = {value for value in in_container if value.startswith('"')}
    assert of_container == {
        '"wal_compression=${POSTGRES_WAL_COMPRESSION:-lz4}"',
        '"shared_buffers=${POSTGRES_SHARED_BUFFERS:-1GB}"',
    }
    in_container -= of_container
    assert in_container == {f"{name}={value}" for name, value in {**OF_WORKERS, **OF_MEMORY}.items()}
    assert in_container <= set(Postgres(tmp_path, 1, PASSWORD).command())


def test_no_command_line_and_no_repr_shows_a_password(tmp_path: Path) -> None:
    valkey, postgres = Valkey(tmp_path / "v", 1, PASSWORD), Postgres(tmp_path / "p", 1, PASSWORD)
    for shown in (valkey.command(), postgres.command(), repr(valkey), repr(postgres)):
        assert PASSWORD not in str(shown)
        assert "wörd" not in str(shown)


async def test_any_password_works(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, {"requirepass": PASSWORD})
    server.password = '"' + PASSWORD.replace("\\", "\\\\").replace('"', '\\"') + '"'
    server.start()
    try:
        async with Redis.from_url(Valkey(tmp_path, server.port, PASSWORD).url()) as client:
            assert await client.ping()
    finally:
        server.stop()


async def test_an_unfinished_cluster_is_created_anew_and_a_finished_one_is_kept(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    (tmp_path / "data" / "half-made" / "base").mkdir(parents=True)
    server.start()
    try:
        connection = await asyncpg.connect(server.url)
        assert connection.get_settings().server_encoding == "UTF8"
        await connection.close()
        made_at = (tmp_path / "data" / "cluster" / "PG_VERSION").stat().st_mtime_ns
        server.server.initialise()
        assert (tmp_path / "data" / "cluster" / "PG_VERSION").stat().st_mtime_ns == made_at
    finally:
        server.stop()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["cluster"]


async def test_postgres_refuses_a_wrong_password(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    server.start()
    try:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url.replace(server.server.password, "wrong"))
    finally:
        server.stop()


def test_a_cluster_that_cannot_be_created_is_reported_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with pytest.raises(PostgresError, match="initdb"):
        Postgres(tmp_path / "data", 1, "x", bin_dir=tmp_path / "bin").initialise()


def test_data_of_an_older_postgres_is_refused_before_anything_is_started_or_changed(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    cluster = checkout.data_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    for command in ("up", "check"):
        said = checkout.run(command, code=1)
        assert "is of PostgreSQL 15, and the one that would be started is 18, which cannot read it" in said
        assert "Nothing was started or stopped, and the data is as it was" in said
        assert "make upgrade-postgres" in said
    assert (checkout.manager, [path.name for path in cluster.iterdir()]) == (None, ["PG_VERSION"])


@pytest.mark.parametrize("text", ["", "none", b"\xff".decode("latin-1")])
def test_a_version_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    server = Postgres(tmp_path, 1, PASSWORD)
    assert server.cluster_major is None
    server.cluster.mkdir()
    (server.cluster / "PG_VERSION").write_text(text)
    with pytest.raises(PostgresError, match="PG_VERSION cannot be read"):
        server.require_version()
