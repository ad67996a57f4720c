"""The commands `events` and `tail`, and replay, discard and release by query: their output and exit codes."""

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from consumers.settings import Settings
from operations.cli.command import EXIT_USAGE
from operations.search import Row, follow, parse_query
from operations.servers import Servers
from tests.support.batches import Row as Applied
from tests.support.batches import claim
from tests.support.events import contract_event
from tests.support.operator_commands import Operator, captured, unsigned
from tests.support.stream_states import Stream, say

FOLLOW_TIMEOUT_S = 30.0


async def test_events_are_listed_and_paged(settings: Settings, stream: Stream, connection: asyncpg.Connection) -> None:
    assert (await say(settings, "events")).text == "No event matches.\n"
    await claim(connection, [Applied(f"evt_{n}", f"{n}-1") for n in range(3)])
    await stream.publish(contract_event("evt_w\u202e\u00a0"))
    said = await say(settings, "events", "--limit", "2")
    assert said.code == 0
    assert "waiting" in said.text
    assert "applied" in said.text
    mark = said.text.partition("AFTER=")[2].strip()
    document = (await say(settings, "events", "--json", "--after", mark)).json
    assert [event["status"] for event in document["events"]] == ["applied", "applied"]
    assert (document["next"], document["left_out"]) == (None, [])
    assert set(document["events"][0]) == {
        "at", "status", "namespace", "event_id", "source", "type", "payment", "received_at", "committed_at", "reason",
        "dead_letter_id", "entry_id",
    }  # fmt: skip


async def test_a_mistake_in_a_query_is_wrong_usage(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["events", "colour:red"], ["events", "--after", "x"], ["tail", "status:gone"]):
        assert (await say(settings, *arguments)).code == EXIT_USAGE
    written = capsys.readouterr().err
    assert "There is no qualifier 'colour'" in written
    assert "There is no status 'gone'" in written


async def test_dead_letters_are_counted_first_and_replayed_only_with_yes(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("evt_a", "evt_b"):
        await stream.publish(contract_event(name))
    for entry in await stream.read("worker-1"):
        await stream.dead_letter(connection, entry)
    said = await say(settings, "replay", "--query", "source:stripe")
    assert said.text == "replay by query would touch 2 dead letters. Nothing was done; YES=1 (--yes) goes on.\n"
    assert (await say(settings, "discard", "--json", "--query", "evt_a")).json == {"matches": 1, "done": False}
    assert "No dead letters match" in (await say(settings, "discard", "--query", "evt_z", "--yes")).text
    assert (await say(settings, "replay", "--query", "source:stripe", "--yes")).code == EXIT_USAGE
    assert "needs a reason" in capsys.readouterr().err
    said = await say(settings, "discard", "--query", "evt_a", "--yes", "--reason", "test event")
    assert "is discarded" in said.text
    said = await say(settings, "replay", "--json", "--query", "source:stripe", "--yes", "--reason", "fixed")
    assert [result["outcome"] for result in said.json["results"]] == ["added"]
    assert len(await stream.entries()) == 1
    for arguments in (["replay"], ["replay", "--query", "evt_a", "7"]):
        assert (await say(settings, *arguments)).code == EXIT_USAGE


async def test_events_on_hold_are_released_by_query(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1", "pi_1"), captured(800, "evt_2", "pi_2")))
    said = await operator.say("release", "--query", "payment:pi_2")
    assert "would touch 1 event on hold" in said.text
    operator.trust('[stripe]\nprovider = "stripe"\n')
    arguments = ["release", "--query", "payment:pi_2", "--yes", "--reason", "asked the provider"]
    assert (await operator.say(*arguments)).code == 1
    assert "its trust is" in capsys.readouterr().err
    operator.trust()
    assert "1 event of source 'stripe' released; 1 transfer booked." in (await operator.say(*arguments)).text


async def test_what_happens_is_followed_once_each(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    servers, stop = Servers(settings), asyncio.Event()
    query = parse_query("source:stripe since:1m", datetime.now(UTC))
    await stream.publish(contract_event("evt_1"))
    seen: list[str] = []
    async with (
        asyncio.timeout(FOLLOW_TIMEOUT_S),
        aclosing(follow(servers, servers.keys, query, stop, poll_s=0.01)) as rows,
    ):
        async for row in rows:
            assert isinstance(row, Row)
            seen.append(f"{row.event_id} {row.status}")
            if len(seen) == 1:
                await claim(connection, [Applied("evt_2", "2-1")])
                await stream.publish(contract_event("evt_other", source="other"))
            if len(seen) == 2:
                await stream.dead_letter(connection, (await stream.read("worker-1"))[0])
            if len(seen) == 3:
                stop.set()
    assert seen == ["evt_1 waiting", "evt_2 applied", "evt_1 dead"]


async def test_tail_prints_a_line_an_event_and_ends_with_0_on_ctrl_c(
    settings: Settings, stream: Stream, tmp_path: Path
) -> None:
    await stream.publish(contract_event("evt_\u202e1"))
    for format_, expected in ((["--json"], '"event_id": "evt_\\u202e1"'), ([], "accepted    stripe/evt_\\u202e1")):
        program = await asyncio.create_subprocess_exec(
            *(".venv/bin/python", "-m", "operations", "tail", *format_, "--", "since:1h"),
            env={
                "REDIS_URL": settings.redis_url.get_secret_value(),
                "DATABASE_URL": settings.database_url.get_secret_value(),
                "KEY_PREFIX": settings.key_prefix,
                "DATA_DIR": str(tmp_path),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        assert program.stdout
        async with asyncio.timeout(FOLLOW_TIMEOUT_S):
            line = (await program.stdout.readline()).decode()
            program.send_signal(2)
            assert await program.wait() == 0
        assert expected in line
        if format_:
            assert json.loads(line)["status"] == "waiting"
