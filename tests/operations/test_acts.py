"""Every act records who did it and why, in its own transaction: with its effect, or not at all."""

import asyncio
from typing import Any

import asyncpg
import pytest

from consumers import store
from consumers.settings import Settings
from contract.keys import COMMITTED
from operations import dead_letters as dead_letters_room
from operations import held_back
from operations.cli import replay as command
from operations.cli.command import EXIT_UNREACHABLE, EXIT_USAGE, EXIT_WRONG
from operations.dead_letters import OPEN_AFTER, DeadLetterOutcome
from operations.log import Act, list_operations, record
from operations.stream_entries import Adding
from sql.audit import audit
from tests.support.database import WORKERS_ROLE
from tests.support.events import contract_event
from tests.support.operator_commands import STOPPED, Operator, captured, unsigned
from tests.support.stream_states import Stream, say
from tests.support.wait import until

WHO = ("--actor", "ada", "--reason", "the handler is fixed")
LOGGED = "SELECT actor, reason, face, action, subject, touched FROM operations ORDER BY id"


def by_ada(action: str, subject: str, touched: int = 1) -> tuple[Any, ...]:
    return ("ada", "the handler is fixed", "command", action, subject, touched)


async def dead_letters(stream: Stream, connection: asyncpg.Connection, *names: str) -> list[int]:
    for name in names:
        await stream.publish(contract_event(name))
    return [await stream.dead_letter(connection, entry) for entry in await stream.read("worker-1")]


async def logged(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    assert "operation_out_of_chain" not in {finding.name for finding in await audit(connection)}
    return [tuple(row) for row in await connection.fetch(LOGGED)]


async def test_replaying_all_says_how_many_and_records_each(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    numbers = await dead_letters(stream, connection, "evt_a", "evt_b")
    said = await say(settings, "replay", "all", *WHO)
    assert said.text.startswith("2 dead letters are open and meant")
    assert await logged(connection) == [by_ada("replay", f"dead_letter:{number}") for number in numbers]
    newest, _ = await list_operations(connection, before=None, limit=9)
    entry_id = list(await stream.entries())[-1]
    assert newest.details == {"event": "stripe/evt_b", "outcome": "added", "entry_id": entry_id}


async def test_what_dies_again_is_not_replayed_without_end(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that is not fixed yet rejects each replayed event at once."""
    await dead_letters(stream, connection, "evt_a", "evt_b")

    async def replay_and_die(*arguments: Any, **named: Any) -> Any:
        result = await dead_letters_room.replay(*arguments, **named)
        for entry in await stream.read("worker-1"):
            await stream.dead_letter(connection, entry)
        return result

    monkeypatch.setattr(command, "replay", replay_and_die)
    assert len((await say(settings, "replay", "all", "--json")).json["results"]) == 2
    assert await connection.fetchval("SELECT count(*) FROM dead_letters WHERE state = 'open'") == 2


async def test_a_replay_that_did_nothing_leaves_no_row(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    await store.dead_letter(connection, (await stream.read("worker-1"))[0], "no", "")
    assert (await say(settings, "replay", "all", *WHO)).code == EXIT_WRONG
    assert await logged(connection) == []


async def test_an_entry_that_is_added_but_not_proven_is_recorded_while_its_dead_letter_stays_open(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = await dead_letters(stream, connection, "evt_a")

    async def cannot_say(_: object) -> bool:
        return False

    monkeypatch.setattr(Adding, "is_kept", cannot_say)
    assert (await say(settings, "replay", "evt_a", *WHO)).code == EXIT_WRONG
    assert await logged(connection) == [by_ada("replay", f"dead_letter:{number}")]
    (row,) = await list_operations(connection, before=None, limit=1)
    assert DeadLetterOutcome(row.details["outcome"]) in OPEN_AFTER
    assert (await say(settings, "replay", "evt_a", *WHO)).code == EXIT_WRONG  # it is in the stream: nothing was added
    assert len(await logged(connection)) == 1


async def test_who_may_not_record_adds_nothing_to_the_stream(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await dead_letters(stream, connection, "evt_a")
    await connection.execute(f"REVOKE INSERT ON operations FROM {WORKERS_ROLE}")
    assert (await say(settings, "replay", "evt_a", *WHO)).code == EXIT_UNREACHABLE
    assert "does not let this role write to the operators' log" in capsys.readouterr().err
    assert await stream.entries() == {}
    assert (await say(settings, "discard", "evt_a", *WHO)).code == EXIT_UNREACHABLE
    assert await connection.fetchval("SELECT state FROM dead_letters") == "open"


async def test_two_operators_who_discard_one_dead_letter_leave_one_row(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    (number,) = await dead_letters(stream, connection, "evt_a")
    said = await asyncio.gather(*(say(settings, "discard", str(number), *WHO) for _ in range(2)))
    assert sorted(each.code for each in said) == [0, EXIT_WRONG]
    assert await logged(connection) == [by_ada("discard", f"dead_letter:{number}")]


async def test_a_committed_event_needs_no_entry_but_closing_its_dead_letter_is_an_act(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    (number,) = await dead_letters(stream, connection, "evt_a")
    await stream.redis.set(stream.keys.seen("stripe", "evt_a"), COMMITTED)
    assert (await say(settings, "replay", "evt_a", *WHO)).code == 0
    assert await logged(connection) == [by_ada("replay", f"dead_letter:{number}")]


async def test_a_decision_is_recorded_with_what_it_booked_or_not_at_all(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    await operator.connection.execute("ALTER TABLE handled_facts ADD CONSTRAINT small CHECK (object <> 're_2')")
    assert (await operator.say("resolve", "pi_1", "--keep", "reported", *WHO)).code == EXIT_WRONG
    assert await logged(operator.connection) == []
    await operator.connection.execute("ALTER TABLE handled_facts DROP CONSTRAINT small")
    assert (await operator.say("resolve", "pi_1", "--keep", "reported", *WHO)).code == 0
    assert await logged(operator.connection) == [by_ada("resolve", "payment:stripe/pi_1")]
    (row,) = await list_operations(operator.connection, before=None, limit=1)
    assert row.details == {
        "keep": "reported", "conflicts": [1], "corrected": ["capture:pi_1"], "booked": ["refund:re_1", "refund:re_2"],
        "released": 2, "open": [],
    }  # fmt: skip
    assert (await operator.say("resolve", "1", "--keep", "reported", *WHO)).code == EXIT_WRONG
    assert len(await logged(operator.connection)) == 1


async def test_a_release_says_how_many_and_records_each_page_with_its_events(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "EVENTS_AT_ONCE", 2)
    await operator.apply(*unsigned(*(captured(700, f"evt_{number}", f"pi_{number}") for number in range(5))))
    operator.trust()
    await operator.connection.execute("ALTER TABLE handled_facts ADD CONSTRAINT small CHECK (event_id <> 'evt_1')")
    said = await operator.say("release", "stripe", *WHO)
    assert said.text.startswith("On hold as unsigned: 5 events of source 'stripe'.")
    assert await logged(operator.connection) == [by_ada("release", "source:stripe", touched) for touched in (1, 2, 1)]
    newest_first = await list_operations(operator.connection, before=None, limit=9)
    events = [event for row in newest_first[::-1] for event in row.details["events"]]
    assert events == ["stripe/evt_0", "stripe/evt_2", "stripe/evt_3", "stripe/evt_4"]
    assert sum(row.details["booked"] for row in newest_first) == 4


async def test_acknowledging_is_in_the_log_too(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.redis.xdel(stream.keys.events, await stream.publish(contract_event("evt_a")))
    assert (await say(settings, "acknowledge", *WHO)).code == 0
    assert await logged(connection) == [by_ada("acknowledge", f"stream:{settings.key_prefix}", 2)]
    (row,) = await list_operations(connection, before=None, limit=1)
    assert row.details == {"acknowledgement": 1, "findings": {"entries_do_not_add_up": 1, "lost_event": 1}}
    assert (await say(settings, "acknowledge", *WHO)).code == 0
    assert len(await logged(connection)) == 1


async def test_without_a_name_the_user_of_the_system_is_who_did_it(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    await dead_letters(stream, connection, "evt_a", "evt_b")
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    assert (await say(settings, "discard", "evt_a")).code == 0
    monkeypatch.setattr("getpass.getuser", nameless)
    assert (await say(settings, "discard", "evt_b")).code == 0
    first, second = [row[0] for row in await logged(connection)]
    assert first == "grace"
    assert second.startswith("uid ")


async def test_a_reason_that_cannot_be_kept_stops_the_act(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await dead_letters(stream, connection, "evt_a")
    assert (await say(settings, "discard", "evt_a", "--reason", "two\nlines")).code == EXIT_USAGE
    assert "The reason has a line break" in capsys.readouterr().err
    assert await connection.fetchval("SELECT state FROM dead_letters") == "open"


async def test_the_log_is_listed_page_by_page(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    assert (await say(settings, "log")).text == "Nothing was done by hand.\n"
    await dead_letters(stream, connection, "evt_a", "evt_b", "evt_c")
    for name in ("evt_a", "evt_b", "evt_c"):
        await say(settings, "discard", name, *WHO)
    text = (await say(settings, "log", "--limit", "2")).text
    for part in ("ada (command)", "discard dead_letter:3", "the handler is fixed", "--before 2"):
        assert part in text
    document = (await say(settings, "log", "--json", "--before", "3", "--limit", "1")).json
    assert [row["subject"] for row in document["operations"]] == ["dead_letter:2"]
    assert document["next"] == 2
    oldest = (await say(settings, "log", "--json", "--before", "2")).json
    assert (oldest["operations"][0]["previous_hash"], oldest["next"]) == ("", None)
    assert (await say(settings, "log", "--before", "1")).text == "The log has no row before 1.\n"


async def test_the_audit_prints_what_a_person_keeps_elsewhere(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    assert (await say(settings, "audit", "--json")).json["operations"] == {"count": 0, "last_hash": ""}
    await dead_letters(stream, connection, "evt_a")
    await say(settings, "discard", "evt_a", *WHO)
    (row,) = await list_operations(connection, before=None, limit=1)
    assert row.hash in (await say(settings, "audit")).text
    assert (await say(settings, "audit", "--json")).json["operations"] == {"count": 1, "last_hash": row.hash}
    await connection.execute("ALTER TABLE operations DISABLE TRIGGER ALL")
    await connection.execute("UPDATE operations SET reason = 'nobody asked'")
    said = await say(settings, "audit")
    assert said.code == EXIT_WRONG
    assert "operation_out_of_chain" in said.text


async def test_an_act_waits_for_the_one_that_is_being_recorded_and_follows_it(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    """Also where the database's default would make it see nothing of what was committed meanwhile."""
    await dead_letters(stream, connection, "evt_a")
    await connection.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''',"
        " current_database()); END $$"
    )

    async def waits() -> bool:
        waiting = """
            SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
        """
        return bool(await connection.fetchval(waiting))

    async with connection.transaction():
        await record(connection, Act("bob", "", "console"), action="replay", subject="y", touched=0, details={})
        discarding = asyncio.create_task(say(settings, "discard", "evt_a", *WHO))
        await until(waits, what="the other act waits for the log")
    assert (await discarding).code == 0
    assert [row[0] for row in await logged(connection)] == ["bob", "ada"]
