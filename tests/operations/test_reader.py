"""People read from a replica with DATABASE_READ_URL, are informed where that shows less, and act on the primary."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from consumers.entry import Entry
from contract.keys import Keys
from operations.reader import Reader
from operations.servers import Servers
from operations.settings import Settings
from sql.connect import Connection, UnreachableError, connect
from tests.support.console import running_console
from tests.support.database import CONNECT_TIMEOUT_S, as_worker
from tests.support.events import contract_event
from tests.support.replica import base_backup
from tests.support.servers import PostgresServer, ValkeyServer, as_user
from tests.support.stream_states import Stream, say
from tests.support.wait import until

IN_RECOVERY = "SELECT pg_is_in_recovery()"


@dataclass
class Pair:
    """A primary, and a replica that follows it."""

    primary: PostgresServer
    replica: PostgresServer


@pytest.fixture(scope="module")
def pair(migrated_postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A primary with its replica; a test that changes one of them changes it back."""
    primary = migrated_postgres.copy(tmp_path_factory.mktemp("primary") / "postgres")
    primary.start()
    replica = base_backup(primary, tmp_path_factory.mktemp("replica") / "postgres")
    replica.start()
    yield Pair(primary, replica)
    replica.kill()
    primary.kill()


@pytest_asyncio.fixture
async def primary(pair: Pair) -> AsyncIterator[Connection]:
    """The owner's connection to the primary."""
    async with connect(pair.primary.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        yield connection


@pytest_asyncio.fixture
async def behind(pair: Pair, primary: Connection) -> AsyncIterator[None]:
    """The replica replays nothing, and the primary has committed something since."""
    async with connect(pair.replica.url, timeout_s=CONNECT_TIMEOUT_S) as replica:
        await replica.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        await until(lambda: replica.fetchval(paused), what="the replica is paused")
        await primary.execute("COMMENT ON SCHEMA public IS 'changed'")
        yield
        await replica.execute("SELECT pg_wal_replay_resume()")


@pytest.fixture
def settings(pair: Pair, valkey: ValkeyServer, key_prefix: str) -> Settings:
    """An operator's settings."""
    return Settings.model_validate({
        "redis_url": as_user("workers", valkey.url),
        "database_url": as_worker(pair.primary.url),
        "database_read_url": as_worker(pair.replica.url),
        "key_prefix": key_prefix,
    })  # fmt: skip


@pytest.fixture
def servers(settings: Settings) -> Servers:
    return Servers(settings)


async def reads_replica(reader: Reader) -> bool:
    async with reader.postgres() as connection:
        return bool(await connection.fetchval(IN_RECOVERY))


async def test_what_was_just_committed_is_read_from_the_replica(servers: Servers, primary: Connection) -> None:
    await primary.execute("CREATE TABLE IF NOT EXISTS counted (n integer); GRANT SELECT ON counted TO PUBLIC")
    for number in range(10):
        reader = Reader(servers)
        await primary.execute("INSERT INTO counted VALUES ($1)", number)
        async with reader.postgres() as connection:
            assert await connection.fetchval("SELECT max(n) FROM counted") == number
            assert await connection.fetchval(IN_RECOVERY)
        assert reader.notes == []


async def test_a_primary_that_commits_nothing_makes_no_replica_late(servers: Servers, primary: Connection) -> None:
    await primary.execute("CREATE TABLE quiet (n integer)")
    await primary.execute("SELECT pg_switch_wal()")  # writes, and commits nothing
    reader = Reader(servers)
    assert await reads_replica(reader)
    assert reader.notes == []


@pytest.mark.usefixtures("behind")
async def test_a_replica_that_is_behind_says_until_when_it_has_everything(servers: Servers) -> None:
    reader = Reader(servers)
    assert await reads_replica(reader)
    (note,) = reader.notes
    assert note.startswith("The replica in DATABASE_READ_URL is behind: it has ")
    assert note.endswith((" ago.", "since it started."))


@pytest.mark.usefixtures("behind")
async def test_what_compares_both_servers_reads_the_primary_while_the_replica_is_behind(servers: Servers) -> None:
    reader = Reader(servers, complete=True)
    assert not await reads_replica(reader)
    assert "is behind" in reader.notes[0]
    assert "this is read from the primary" in reader.notes[0]


@pytest.mark.usefixtures("behind")
async def test_commands_say_that_the_replica_is_behind(settings: Settings) -> None:
    for command in (["status"], ["events"], ["why", "evt_1"]):
        assert "Note: The replica in DATABASE_READ_URL is behind" in (await say(settings, *command)).text
        document = (await say(settings, *command, "--json")).json
        assert "is behind" in str(document["notes"])
    assert "DATABASE_READ_URL" not in str((await say(settings, "audit", "--json")).json)


@pytest.mark.usefixtures("behind")
async def test_a_page_shows_the_replicas_state_and_an_act_is_confirmed_by_the_primarys(
    settings: Settings, stream: Stream, primary: Connection
) -> None:
    entry_id = await stream.publish(contract_event("evt_behind"))
    (entry,) = await stream.read("worker-1")
    assert isinstance(entry, Entry)
    assert entry.entry_id == entry_id
    number = await stream.dead_letter(primary, entry)
    async with running_console(settings) as console:
        listed = await console.operator.get("/dead", {"all": "1"})
        assert "is behind: it has " in listed.text
        assert "evt_behind" not in listed.text
        confirming = await console.operator.post("/dead/discard", {"ids": str(number)})
        assert "evt_behind" in confirming.text
        assert "is behind" not in confirming.text
        done = await console.operator.post("/dead/discard", {"ids": str(number), "confirm": "yes", "reason": "no"})
        assert done.status == 200
    assert await primary.fetchval("SELECT state FROM dead_letters WHERE id = $1", number) == "discarded"


async def test_a_replica_that_is_gone_is_left_alone_for_a_while(pair: Pair, servers: Servers) -> None:
    pair.replica.kill()
    try:
        first, second = Reader(servers), Reader(servers)
        assert not await reads_replica(first)
        assert not await reads_replica(second)
        assert first.notes[0].startswith("DATABASE_READ_URL: PostgreSQL does not answer")
        assert second.notes == ["DATABASE_READ_URL did not answer a moment ago: this is read from the primary."]
    finally:
        await pair.replica.restart()
    servers.replica_rests_until = 0
    third = Reader(servers)
    assert await reads_replica(third)
    assert third.notes == []


async def test_a_replica_that_dies_while_it_is_read_is_named(pair: Pair, servers: Servers) -> None:
    async def read_while_it_dies() -> None:
        async with Reader(servers).postgres() as connection:
            pair.replica.kill()
            await connection.fetchval(IN_RECOVERY)

    with pytest.raises(UnreachableError, match="DATABASE_READ_URL: PostgreSQL does not answer as it should"):
        await read_while_it_dies()
    assert not await reads_replica(Reader(servers))
    await pair.replica.restart()


async def test_the_replica_is_read_while_the_primary_is_gone(pair: Pair, settings: Settings) -> None:
    pair.primary.kill()
    try:
        reader = Reader(Servers(settings))
        assert await reads_replica(reader)
        assert reader.notes[0].startswith("The primary was not asked (PostgreSQL does not answer")
    finally:
        await pair.primary.restart()


async def test_another_servers_replica_is_not_believed(settings: Settings, database_url: str) -> None:
    reader = Reader(Servers(settings.model_copy(update={"database_url": SecretStr(as_worker(database_url))})))
    assert not await reads_replica(reader)
    assert "a replica of another server than DATABASE_URL" in reader.notes[0]


async def test_a_promoted_replica_is_not_believed(pair: Pair, settings: Settings, tmp_path: Path) -> None:
    promoted = base_backup(pair.primary, tmp_path / "promoted")
    promoted.start()
    try:
        reader = Reader(Servers(settings.model_copy(update={"database_read_url": SecretStr(as_worker(promoted.url))})))
        async with reader.postgres() as connection:
            assert await connection.fetchval(IN_RECOVERY)
        async with connect(promoted.url, timeout_s=CONNECT_TIMEOUT_S) as owner:
            assert await owner.fetchval("SELECT pg_promote()")
        async with reader.postgres() as connection:
            assert f":{pair.primary.port}" in f":{await connection.fetchval('SELECT inet_server_port()')}"
        assert "is no replica, or was promoted: this is read from the primary." in reader.notes[0]
    finally:
        promoted.kill()


async def test_without_the_setting_the_primary_is_read_and_nothing_is_noted(settings: Settings) -> None:
    reader = Reader(Servers(settings.model_copy(update={"database_read_url": None})))
    assert not await reads_replica(reader)
    assert reader.notes == []
    assert reader.keys == Keys(settings.key_prefix)
