"""The commands `dead`, `replay` and `discard`: their output and exit codes."""

import asyncpg
import pytest

from consumers import store
from consumers.settings import Settings
from contract.keys import COMMITTED
from operations.cli.command import EXIT_WRONG
from tests.support.events import contract_event
from tests.support.stream_states import Stream, say


async def test_dead_letters_are_listed_shown_and_replayed(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await say(settings, "dead")).text == "No dead letters are open.\n"
    await stream.publish(contract_event("evt_a"))
    await stream.publish_fields(["v", "9"])
    first, second = [
        await stream.dead_letter(connection, entry, "ValueError: no") for entry in await stream.read("worker-1")
    ]
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


async def test_a_dead_letter_that_must_stay_open_is_exit_1(
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
        await stream.dead_letter(connection, entry)
    await stream.redis.set(stream.keys.seen("stripe", "evt_a"), COMMITTED)
    await stream.publish(contract_event("evt_b"))
    said = await say(settings, "replay", "all")
    assert "was committed from another entry already" in said.text
    assert "is in the stream already, as entry" in said.text


async def test_discard_closes_exactly_one(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await stream.publish(contract_event("evt_a"))
        await stream.dead_letter(connection, (await stream.read("worker-1"))[0])
    assert (await say(settings, "discard", "evt_a")).code == EXIT_WRONG
    assert "means several dead letters" in capsys.readouterr().err
    said = await say(settings, "discard", stream.ids[0])
    assert said.code == 0
    assert "is discarded" in said.text
    assert (await say(settings, "discard", "evt_a")).code == 0
    assert (await say(settings, "discard", "evt_a")).code == EXIT_WRONG
