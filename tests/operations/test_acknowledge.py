"""The audit names what is lost; a person acknowledges it, and later losses show again."""

import io
from typing import Any

import asyncpg
import pytest
from rich.console import Console

from consumers.settings import Settings
from contract.keys import GROUP
from operations.cli import main as cli
from operations.cli.command import EXIT_WRONG
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.stream_states import Said, Stream, say

WHY = "Stripe has sent them again"
KEPT = "SELECT actor, reason, difference, findings::text FROM acknowledgements ORDER BY id"


async def found(settings: Settings) -> dict[str, int]:
    """Return the findings of the audit: name → rows."""
    said = await say(settings, "audit", "--json")
    findings = {finding["name"]: finding["total"] for finding in said.json["broken"]}
    assert said.code == (EXIT_WRONG if findings else 0)
    return findings


async def rows(settings: Settings, name: str) -> list[Any]:
    said = await say(settings, "audit", "--json")
    return [row for finding in said.json["broken"] if finding["name"] == name for row in finding["rows"]]


async def acknowledge(settings: Settings, reason: str = WHY, actor: str = "ada") -> Said:
    return await say(settings, "acknowledge", "--reason", reason, "--actor", actor, "--json")


async def lose(stream: Stream, *names: str) -> list[str]:
    """Publish events, and delete their entries as somebody does by hand."""
    added = [await stream.publish(contract_event(name)) for name in names]
    await stream.redis.xdel(stream.keys.events, *added)
    return added


async def test_a_new_installation_is_in_order(workers: Workers) -> None:
    assert await found(workers.settings) == {}
    async with workers.working():
        await workers.stream.redis.ping()
    assert await found(workers.settings) == {}
    said = await say(workers.settings, "audit")
    assert said.code == 0


async def test_a_stream_that_was_made_for_its_group_alone_is_in_order(settings: Settings, stream: Stream) -> None:
    await stream.redis.xgroup_create(stream.keys.events, GROUP, "0", mkstream=True)
    assert await found(settings) == {}
    assert "0 entries were added" in (await say(settings, "audit")).text


async def test_what_is_acknowledged_is_kept_and_later_losses_show_again(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_waits"))
    first = await lose(stream, "evt_a", "evt_b")
    assert await found(settings) == {"entries_do_not_add_up": 2, "lost_event": 2}
    assert await rows(settings, "lost_event") == [
        {"namespace": "stripe", "event_id": "evt_a", "entry_id": first[0]},
        {"namespace": "stripe", "event_id": "evt_b", "entry_id": first[1]},
    ]
    said = await acknowledge(settings)
    assert (said.code, said.json["acknowledged"]) == (0, {"entries_do_not_add_up": 2, "lost_event": 2})
    assert await found(settings) == {}
    assert "+ 2 missing, as acknowledged" in (await say(settings, "audit")).text
    (second,) = await lose(stream, "evt_c")
    assert await found(settings) == {"entries_do_not_add_up": 1, "lost_event": 1}
    assert await rows(settings, "lost_event") == [{"namespace": "stripe", "event_id": "evt_c", "entry_id": second}]
    await acknowledge(settings, "another", "bob")
    assert await found(settings) == {}
    kept = [tuple(row) for row in await connection.fetch(KEPT)]
    assert [row[:3] for row in kept] == [("ada", WHY, 2), ("bob", "another", 3)]
    assert all(name in kept[0][3] for name in ("evt_a", "evt_b", first[0]))
    assert (await acknowledge(settings)).json["acknowledgement"] is None


async def test_a_difference_of_an_earlier_stream_is_not_that_of_the_next(settings: Settings, stream: Stream) -> None:
    await lose(stream, "evt_a")
    await acknowledge(settings)
    await stream.redis.delete(stream.keys.events, stream.keys.epoch)
    await lose(stream, "evt_b")
    await stream.publish(contract_event("evt_c"))
    assert (await found(settings))["entries_do_not_add_up"] == 1


async def test_a_lost_event_that_was_sent_again_and_applied_has_its_name_no_more(workers: Workers) -> None:
    await lose(workers.stream, "evt_a", "evt_b")
    await workers.stream.publish(contract_event("evt_a"))
    async with workers.working():
        await workers.drained()
    assert [row["event_id"] for row in await rows(workers.settings, "lost_event")] == ["evt_b"]


async def test_commits_that_postgres_lost_are_named_and_acknowledged(workers: Workers) -> None:
    await workers.publish(3)
    async with workers.working():
        await workers.drained()
    await workers.connection.execute("DELETE FROM payloads WHERE event_id <> 'evt_0'")
    await workers.connection.execute("DELETE FROM events WHERE event_id <> 'evt_0'")
    lost = [row["event_id"] for row in await rows(workers.settings, "lost_event")]
    assert lost == ["evt_1", "evt_2"]
    assert (await found(workers.settings)).keys() >= {"postgres_is_older", "entries_do_not_add_up"}
    async with workers.working():
        await workers.publish(1, first=3)
        await workers.drained()
    names = await found(workers.settings)
    assert (names["restore_not_acknowledged"], names["entries_do_not_add_up"], names["lost_event"]) == (1, 2, 2)
    assert "postgres_is_older" not in names
    await workers.connection.execute("DELETE FROM payments WHERE payment_id IN ('pi_1', 'pi_2')")
    await acknowledge(workers.settings)
    assert not (await found(workers.settings)).keys() & {"restore_not_acknowledged", "lost_event"}


async def test_an_older_redis_is_found_by_what_postgres_has_beyond_it(workers: Workers) -> None:
    """Right after the restore, while no worker runs: nothing but Postgres knows of it."""
    await workers.publish(2)
    async with workers.working():
        await workers.drained()
    await workers.connection.execute("UPDATE events SET entry_id = '99999999999999-1' WHERE event_id = 'evt_1'")
    await workers.connection.execute("UPDATE redis_beats SET beat = 9")
    assert await rows(workers.settings, "recorded_beyond_the_stream") == [
        {"entry_id": "99999999999999-1", "namespace": "stripe", "event_id": "evt_1"}
    ]
    said = await acknowledge(workers.settings)
    assert said.code == EXIT_WRONG
    assert said.json["left"].keys() == {"recorded_beyond_the_stream", "redis_is_older"}


async def test_a_wiped_redis_is_found_although_no_worker_runs(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO redis_beats (key_prefix, beat) VALUES ($1, 9)", settings.key_prefix)
    assert await found(settings) == {"redis_is_older": 1}


@pytest.mark.parametrize("argv", [["acknowledge"], ["acknowledge", "--reason", "  "]])
def test_a_reason_is_needed(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(argv)
    assert ended.value.code == 2


async def test_an_acknowledgement_is_a_sentence_with_its_number(settings: Settings, stream: Stream) -> None:
    await lose(stream, "evt_a")
    console = Console(file=io.StringIO(), width=200)
    arguments = cli.parse(["acknowledge", "--reason", WHY, "--actor", "ada"])
    assert await cli.run(arguments, settings, console) == 0
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Acknowledged by ada as number 1: entries_do_not_add_up (1), lost_event (1)." in text
