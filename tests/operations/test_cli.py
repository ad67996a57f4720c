"""The commands' output and exit codes: `status`, `pending`, unreachable servers, wrong usage."""

import asyncpg
import pytest

from consumers.settings import Settings
from contract.keys import GROUP
from operations.cli.command import EXIT_UNREACHABLE, ROWS_SHOWN_MAX
from operations.servers import Servers
from sql.connect import UnreachableError
from tests.support.database import as_worker
from tests.support.events import contract_event
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.stream_states import Stream, say, settings_for

NOWHERE = "127.0.0.1:1"
HASTY = {"redis_timeout_s": 1, "acquire_timeout_s": 1, "statement_timeout_s": 1}


async def test_status_before_anything_happened(settings: Settings) -> None:
    said = await say(settings, "status")
    assert said.code == 0
    assert "nothing was ever published" in said.text
    assert "PostgreSQL" in said.text


async def test_status_shows_the_stream_the_workers_and_the_dead_letters(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    for number in range(4):
        await stream.publish(contract_event(f"evt_{number}"))
    first, *_ = await stream.read("worker-1", 2)
    await stream.lease(1)
    await stream.dead_letter(connection, first)
    said = await say(settings, "status")
    assert said.code == 0
    for text in ("3 entries", "worker-1", "appendfsync always", "dead letters open"):
        assert text in said.text
    document = (await say(settings, "status", "--json")).json
    assert document["redis"]["stream"] | {"oldest_age_ms": 0, "oldest_pending_idle_ms": 0} == {
        "exists": True, "backlog": 3, "entries_added": 4, "oldest_age_ms": 0, "group_exists": True, "lag": 2,
        "lag_is_estimated": False, "pending": 1, "stranded": 0, "oldest_pending_idle_ms": 0,
    }  # fmt: skip
    assert document["redis"]["consumers"][0]["lives"] is True
    assert document["redis"]["server"]["appendfsync"] == "always"
    assert document["redis"]["server"]["problems"] == []
    assert document["postgres"]["dead_letters_open"] == 1
    assert set(document["postgres"]["rows"]) == {"events", "duplicates", "payments"}


async def test_status_shows_the_server_that_answers(
    settings: Settings, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_url = settings.redis_url.get_secret_value()
    without_postgres = settings_for(redis_url, f"postgresql://u:secret@{NOWHERE}/x", settings.key_prefix)
    said = await say(without_postgres, "status")
    assert said.code == EXIT_UNREACHABLE
    assert "nothing was ever published" in said.text
    without_redis = settings_for(f"redis://:secret@{NOWHERE}", as_worker(database_url), settings.key_prefix)
    said = await say(without_redis, "status")
    assert said.code == EXIT_UNREACHABLE
    assert "dead letters open" in said.text
    document = (await say(without_redis, "status", "--json")).json
    assert document["redis"]["reachable"] is False
    assert document["postgres"]["reachable"] is True
    errors = capsys.readouterr().err
    assert "PostgreSQL does not answer" in errors
    assert "Redis does not answer as it should" in errors
    assert ".." not in errors
    assert "secret" not in errors


@pytest.mark.parametrize("argv", [["pending"], ["dead"], ["replay", "all"], ["discard", "1"], ["audit"]])
async def test_every_command_says_that_a_server_cannot_be_reached(
    settings: Settings, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = settings_for(f"redis://{NOWHERE}", f"postgresql://{NOWHERE}/x", settings.key_prefix)
    assert (await say(nowhere, *argv)).code == EXIT_UNREACHABLE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("frozen", ["redis", "postgres"])
async def test_a_hanging_server_is_waited_for_no_longer_than_its_limit(
    private_valkey: ValkeyServer, settings: Settings, private_postgres: PostgresServer, frozen: str
) -> None:
    server = private_valkey if frozen == "redis" else private_postgres
    hasty = settings_for(private_valkey.url, private_postgres.url, settings.key_prefix, **HASTY)
    server.pause()
    assert (await say(hasty, "status")).code == EXIT_UNREACHABLE
    server.resume()
    assert (await say(hasty, "status")).code == 0


async def test_a_server_that_hangs_during_a_command_ends_it(
    settings: Settings, private_postgres: PostgresServer
) -> None:
    hasty = settings_for(settings.redis_url.get_secret_value(), private_postgres.url, settings.key_prefix, **HASTY)
    servers = Servers(hasty)

    async def freeze_and_ask() -> None:
        async with servers.postgres() as connection:
            private_postgres.pause()
            await connection.fetchval("SELECT 1")

    with pytest.raises(UnreachableError, match="in time"):
        await freeze_and_ask()
    private_postgres.resume()


async def test_missing_tables_are_a_sentence(
    settings: Settings, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = settings_for(settings.redis_url.get_secret_value(), empty_database_url, settings.key_prefix)
    assert (await say(empty, "dead")).code == EXIT_UNREACHABLE
    assert "python -m sql migrate" in capsys.readouterr().err


async def test_pending_says_that_nothing_is_pending_and_how_many_entries_are_unread(
    settings: Settings, stream: Stream
) -> None:
    assert (await say(settings, "pending")).text == "Nothing is pending.\n"
    await stream.publish(contract_event())
    assert "no worker has ever read this stream" in (await say(settings, "pending")).text
    await stream.redis.xgroup_create(stream.keys.events, GROUP, "0")
    said = await say(settings, "pending")
    assert said.code == 0
    assert "Nothing is pending." in said.text
    assert "1 entry in the stream was not read" in said.text
    assert (await say(settings, "pending", "--json")).json == {"pending": 0, "unread": 1, "entries": [], "stranded": []}


async def test_pending_shows_the_oldest_first_and_why(settings: Settings, stream: Stream) -> None:
    events = [contract_event(f"evt_[bold]{number}", f"pi_{number}") for number in range(3)]
    for event in events:
        await stream.publish(event)
    await stream.read("worker-1")
    await stream.lease(1)
    await stream.lock(events[0], "worker-1")
    said = await say(settings, "pending", "--limit", "2")
    assert "in work by worker-1" in said.text
    assert "stripe/evt_[bold]0" in said.text
    assert "… and 1 more" in said.text
    document = (await say(settings, "pending", "--json")).json
    assert [entry["event_id"] for entry in document["entries"]] == [event.event_id for event in events]
    assert document["entries"][0]["why"] == "in work by worker-1"
    assert document["entries"][0]["deliveries"] == 1


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["pending", "--limit", "0"],
        ["dead", "--limit", str(ROWS_SHOWN_MAX + 1)],
        ["replay", "7", "--query"],
        ["x"],
        ["why"],
        ["why", ""],
        ["why", "a\0"],
    ],
)
async def test_wrong_usage_is_exit_2(settings: Settings, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        await say(settings, *argv)
    assert stopped.value.code == 2


@pytest.mark.parametrize("act", ["replay", "discard", "release"])
async def test_an_act_on_nothing_that_is_named_is_exit_2(settings: Settings, act: str) -> None:
    assert (await say(settings, act)).code == 2
