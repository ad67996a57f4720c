"""The commands as an operator runs them: what they say, and their exit codes."""

import asyncpg
import pytest

from consumers import store
from consumers.entry import Entry
from consumers.settings import Settings
from contract.keys import COMMITTED, GROUP
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG, ROWS_SHOWN_MAX
from operations.servers import Servers
from sql.connect import UnreachableError
from tests.support.events import contract_event
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.stream_states import Stream, say, settings_for

NOWHERE = "127.0.0.1:1"
HASTY = {"redis_timeout_s": 1, "acquire_timeout_s": 1, "statement_timeout_s": 1}


async def commit(connection: asyncpg.Connection, entries: list[Entry]) -> None:
    claimed = await store.claim(connection, entries)
    await store.keep_payloads(connection, claimed)
    await store.record_duplicates(connection, [entry for entry in entries if entry not in claimed])


async def read(stream: Stream, consumer: str = "worker-1", count: int = 10) -> list[Entry]:
    return [entry for entry in await stream.read(consumer, count) if isinstance(entry, Entry)]


async def test_status_before_anything_happened(settings: Settings) -> None:
    said = await say(settings, "status")
    assert said.code == 0
    assert "nothing was ever published" in said.text
    assert "PostgreSQL" in said.text


async def test_status_shows_the_stream_the_workers_and_the_dead(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    for number in range(4):
        await stream.publish(contract_event(f"evt_{number}"))
    first, *_ = await stream.read("worker-1", 2)
    await stream.lease(1)
    await stream.bury(connection, first)
    said = await say(settings, "status")
    assert said.code == 0
    for text in ("3 entries", "worker-1", "appendfsync always", "dead letters open"):
        assert text in said.text
    document = (await say(settings, "status", "--json")).json
    assert document["redis"]["stream"] | {"oldest_age_ms": 0, "oldest_pending_idle_ms": 0} == {
        "exists": True, "backlog": 3, "entries_added": 4, "oldest_age_ms": 0, "group_exists": True, "lag": 2,
        "lag_is_estimated": False, "pending": 1, "oldest_pending_idle_ms": 0,
    }  # fmt: skip
    assert document["redis"]["consumers"][0]["lives"] is True
    assert document["redis"]["server"]["appendfsync"] == "always"
    assert document["redis"]["server"]["problems"] == []
    assert document["postgres"]["dead_letters_open"] == 1
    assert set(document["postgres"]["rows"]) == {"events", "duplicates", "payments"}


async def test_status_shows_the_half_that_answers(
    settings: Settings, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_url = settings.redis_url.get_secret_value()
    without_postgres = settings_for(redis_url, f"postgresql://u:secret@{NOWHERE}/x", settings.key_prefix)
    said = await say(without_postgres, "status")
    assert said.code == EXIT_UNREACHABLE
    assert "nothing was ever published" in said.text
    without_redis = settings_for(f"redis://:secret@{NOWHERE}", database_url, settings.key_prefix)
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
async def test_every_command_says_when_a_server_is_away(
    settings: Settings, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = settings_for(f"redis://{NOWHERE}", f"postgresql://{NOWHERE}/x", settings.key_prefix)
    assert (await say(nowhere, *argv)).code == EXIT_UNREACHABLE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("frozen", ["redis", "postgres"])
async def test_a_server_that_hangs_is_waited_for_no_longer_than_its_limit(
    private_valkey: ValkeyServer, settings: Settings, private_postgres: PostgresServer, frozen: str
) -> None:
    server = private_valkey if frozen == "redis" else private_postgres
    hasty = settings_for(private_valkey.url, private_postgres.url, settings.key_prefix, **HASTY)
    server.pause()
    assert (await say(hasty, "status")).code == EXIT_UNREACHABLE
    server.resume()
    assert (await say(hasty, "status")).code == 0


async def test_a_server_that_hangs_in_the_middle_ends_the_command(
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


async def test_tables_that_are_not_there_yet_are_a_sentence(
    settings: Settings, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = settings_for(settings.redis_url.get_secret_value(), empty_database_url, settings.key_prefix)
    assert (await say(empty, "dead")).code == EXIT_UNREACHABLE
    assert "python -m sql migrate" in capsys.readouterr().err


async def test_pending_says_when_there_is_nothing_or_only_a_backlog(settings: Settings, stream: Stream) -> None:
    assert (await say(settings, "pending")).text == "Nothing is pending.\n"
    await stream.publish(contract_event())
    assert "no worker has ever read this stream" in (await say(settings, "pending")).text
    await stream.redis.xgroup_create(stream.keys.events, GROUP, "0")
    said = await say(settings, "pending")
    assert said.code == 0
    assert "Nothing is pending." in said.text
    assert "1 entries in the stream were not read" in said.text
    assert (await say(settings, "pending", "--json")).json == {"pending": 0, "unread": 1, "entries": []}


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


async def test_the_dead_are_listed_shown_and_replayed(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await say(settings, "dead")).text == "No dead letters are open.\n"
    await stream.publish(contract_event("evt_a"))
    await stream.publish_fields(["v", "9"])
    first, second = [await stream.bury(connection, entry, "ValueError: no") for entry in await stream.read("worker-1")]
    said = await say(settings, "dead")
    assert "stripe/evt_a" in said.text
    assert "not an envelope" in said.text
    assert "… and 1 more" in (await say(settings, "dead", "--limit", "1")).text
    assert "Traceback of ValueError" in (await say(settings, "dead", "evt_a")).text
    document = (await say(settings, "dead", "--json", str(second))).json
    assert document["dead_letters"][0]["traceback"] == "Traceback of ValueError: no"
    assert "fields" not in document["dead_letters"][0]
    said = await say(settings, "replay", "evt_a")
    assert said.code == 0
    assert f"Dead letter {first} (stripe/evt_a) is in the stream again, as entry " in said.text
    document = (await say(settings, "replay", "--json", "all")).json
    assert [result["outcome"] for result in document["results"]] == ["added"]
    assert (await say(settings, "replay", "all")).text == "No dead letters are open.\n"
    assert len(await stream.entries()) == 2
    assert (await say(settings, "replay", "evt_a")).code == EXIT_WRONG
    assert (await say(settings, "dead", "evt_a")).code == EXIT_WRONG
    assert "There is no open dead letter with the number, entry id or event id 'evt_a'." in capsys.readouterr().err


async def test_a_letter_that_must_stay_open_is_exit_1(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    await store.dead_letter(connection, (await stream.read("worker-1"))[0], "no", "")
    said = await say(settings, "replay", "all")
    assert said.code == EXIT_WRONG
    assert "still being acked by a worker" in said.text


async def test_every_outcome_has_its_sentence(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    for name in ("evt_a", "evt_b"):
        await stream.publish(contract_event(name))
    for entry in await stream.read("worker-1"):
        await stream.bury(connection, entry)
    await stream.redis.set(stream.keys.seen("stripe", "evt_a"), COMMITTED)
    await stream.publish(contract_event("evt_b"))
    said = await say(settings, "replay", "all")
    assert "was committed from another entry already" in said.text
    assert "is in the stream already, as entry" in said.text


async def test_discard_gives_up_exactly_one(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await stream.publish(contract_event("evt_a"))
        await stream.bury(connection, (await stream.read("worker-1"))[0])
    assert (await say(settings, "discard", "evt_a")).code == EXIT_WRONG
    assert "means several dead letters" in capsys.readouterr().err
    said = await say(settings, "discard", stream.ids[0])
    assert said.code == 0
    assert "is discarded" in said.text
    assert (await say(settings, "discard", "evt_a")).code == 0
    assert (await say(settings, "discard", "evt_a")).code == EXIT_WRONG


async def test_the_audit_of_a_sound_system(settings: Settings, stream: Stream, connection: asyncpg.Connection) -> None:
    assert "There is no stream" in (await say(settings, "audit")).text
    for name in ("evt_a", "evt_a", "evt_b", "evt_c", "evt_d", "evt_e"):
        await stream.publish(contract_event(name))
    entries = await read(stream, count=5)
    await commit(connection, entries[:1])
    await commit(connection, entries[1:3])
    for entry in entries[:2]:
        await stream.drop(entry.entry_id)
    await stream.bury(connection, entries[3])
    said = await say(settings, "audit")
    assert "6 entries were added to this stream, which = 4 recorded in Postgres + 2 waiting." in said.text
    assert said.code == 0
    document = (await say(settings, "audit", "--json")).json
    assert document["ok"] is True
    assert document["account"] == {"added": 6, "recorded": 4, "waiting": 2}


async def broken(settings: Settings) -> dict[str, int]:
    said = await say(settings, "audit", "--json")
    assert said.code == EXIT_WRONG
    return {finding["name"]: finding["total"] for finding in said.json["broken"]}


async def test_the_audit_finds_an_entry_that_vanished(settings: Settings, stream: Stream) -> None:
    for name in ("evt_a", "evt_b"):
        await stream.publish(contract_event(name))
    await stream.read("worker-1", 1)
    await stream.redis.xdel(stream.keys.events, *stream.ids)
    assert await broken(settings) == {"pending_but_gone": 1, "entries_do_not_add_up": 2}
    assert "is not" in (await say(settings, "audit")).text


async def test_the_audit_finds_an_entry_that_was_acknowledged_and_not_applied(
    settings: Settings, stream: Stream
) -> None:
    await stream.publish(contract_event())
    await stream.read("worker-1")
    await stream.redis.xack(stream.keys.events, GROUP, stream.ids[0])
    assert await broken(settings) == {"delivered_but_not_pending": 1}


async def test_the_audit_finds_a_lost_group(settings: Settings, stream: Stream, connection: asyncpg.Connection) -> None:
    await stream.publish(contract_event())
    assert (await say(settings, "audit")).code == 0
    await commit(connection, await read(stream))
    await stream.redis.xgroup_destroy(stream.keys.events, GROUP)
    assert await broken(settings) == {"group_missing": 1}


async def test_the_audit_finds_a_missing_epoch(settings: Settings, stream: Stream) -> None:
    await stream.publish(contract_event())
    await stream.redis.delete(stream.keys.epoch)
    assert await broken(settings) == {"epoch_missing": 1}


async def test_the_audit_finds_more_fates_than_entries(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    entries = await read(stream)
    await commit(connection, entries)
    await connection.execute(
        "INSERT INTO dead_letters (entry_id, reason, traceback, attempts, field_names, field_values)"
        " VALUES ($1, 'no', '', 1, '{}', '{}')",
        entries[0].entry_id,
    )
    assert (await broken(settings)).keys() >= {"entries_do_not_add_up", "entry_with_two_fates"}


async def test_an_older_incarnation_of_the_stream_is_not_counted(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    await commit(connection, await read(stream))
    await stream.redis.delete(stream.keys.events, stream.keys.epoch)
    await stream.publish(contract_event("evt_b"))
    assert (await say(settings, "audit", "--json")).json["account"] == {"added": 1, "recorded": 0, "waiting": 1}


async def test_the_audit_asks_postgres_even_where_redis_is_away(
    settings: Settings, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without_redis = settings_for(f"redis://{NOWHERE}", database_url, settings.key_prefix)
    said = await say(without_redis, "audit")
    assert said.code == EXIT_UNREACHABLE
    assert "invariants hold" in said.text
    assert "The stream was not accounted for." in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["pending", "--limit", "0"],
        ["dead", "--limit", str(ROWS_SHOWN_MAX + 1)],
        ["replay"],
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
