"""`why` and the console's pages name who replayed, discarded, resolved or released, and why."""

from datetime import UTC, datetime

import asyncpg

from consumers.settings import Settings
from operations.bulk import discard_selected, replay_selected, select_dead_letters
from operations.console.links import event_path, payment_path
from operations.log import Act, list_operations
from operations.search import parse_query
from operations.servers import Servers
from operations.why.explain import explain_event
from operations.why.model import Subject
from operations.why.timeline import TimelineEntry
from tests.support.console import RunningConsole
from tests.support.events import contract_event
from tests.support.operator_commands import STOPPED, Operator, captured, refunded, unsigned
from tests.support.stream_states import Stream, say

ADA = ("--actor", "ada", "--reason", "ticket 42")
EVENTS = ("evt_1", "evt_2", "evt_3")


async def die(stream: Stream, connection: asyncpg.Connection) -> list[int]:
    for name in EVENTS:
        await stream.publish(contract_event(name, f"pi_{name}"))
    return [await stream.dead_letter(connection, entry) for entry in await stream.read("worker-1")]


async def acts_on(settings: Settings, event_id: str, namespace: str = "stripe") -> list[TimelineEntry]:
    explanation = await explain_event(Servers(settings), Subject(namespace, event_id))
    return [entry for entry in explanation.timeline if entry.operation]


async def test_each_of_a_bulk_act_has_its_actor_and_reason(
    settings: Settings, stream: Stream, connection: asyncpg.Connection, console: RunningConsole
) -> None:
    await die(stream, connection)
    servers, query = Servers(settings), parse_query("evt_1 evt_2", datetime.now(UTC))
    selection = await select_dead_letters(connection, query)
    act = Act("olga", "paid by hand", "console")
    assert len([each async for each in discard_selected(servers, selection, act=act)]) == 2
    for name in EVENTS[:2]:
        (entry,) = await acts_on(settings, name)
        assert (entry.what, entry.actor, entry.reason, entry.face) == ("discarded", "olga", "paid by hand", "console")
        assert entry.text.endswith(", by olga in the console: paid by hand")
    assert await acts_on(settings, "evt_3") == []
    page = (await console.viewer.get(event_path("stripe", "evt_1"))).text
    assert "by olga in the console: paid by hand" in page
    assert "(act 1 in the log)" in page
    assert "by olga in the console: paid by hand" in (await say(settings, "why", "evt_2", "--json")).text


async def test_one_that_was_chosen_alone_is_one_act(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await die(stream, connection)
    selection = await select_dead_letters(connection, parse_query("evt_1", datetime.now(UTC)))
    act = Act("olga", "it works again", "console")
    assert len([each async for each in replay_selected(Servers(settings), selection, act=act)]) == 1
    (row,) = await list_operations(connection, before=None, limit=9)
    assert (row.action, row.subject) == ("replay", f"dead_letter:{selection.up_to}")
    (entry,) = await acts_on(settings, "evt_1")
    assert (entry.what, entry.operation) == ("replayed", row.id)


async def test_a_decision_and_what_it_releases_name_who_decided(operator: Operator, console: RunningConsole) -> None:
    await operator.apply(*STOPPED)
    assert (await operator.say("resolve", "pi_1", "--keep", "reported", *ADA)).code == 0
    (decided,) = await acts_on(operator.settings, "evt_800")
    assert (decided.what, decided.actor) == ("decided", "ada")
    whats = [(entry.what, entry.actor) for entry in await acts_on(operator.settings, "evt_r1")]
    assert ("released", "ada") in whats
    page = (await console.viewer.get(payment_path("stripe", "pi_1"))).text
    assert "the reported amount is right, by ada: ticket 42" in page
    assert "refunded (re_1) 5.00 EUR, by ada: ticket 42" in page


async def test_a_release_names_who_released_each_event(operator: Operator, console: RunningConsole) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1"), captured(800, "evt_2", "pi_2"), refunded(100, "evt_3")))
    operator.trust()
    assert (await operator.say("release", "stripe", "--actor", "ada")).code == 0
    for event_id in EVENTS:
        entries = await acts_on(operator.settings, event_id)
        assert {(entry.what, entry.actor, entry.reason) for entry in entries} == {("released", "ada", "")}
        assert entries[0].text.endswith(", by ada, who gave no reason")
    assert ", by ada, who gave no reason" in (await console.viewer.get(payment_path("stripe", "pi_2"))).text


async def test_a_replayed_event_is_accepted_again_after_it_died(
    settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await die(stream, connection)
    selection = await select_dead_letters(connection, parse_query("evt_1", datetime.now(UTC)))
    act = Act("olga", "it works again", "console")
    assert len([each async for each in replay_selected(Servers(settings), selection, act=act)]) == 1
    timeline = (await explain_event(Servers(settings), Subject("stripe", "evt_1"))).timeline
    assert [entry.what for entry in timeline][:2] == ["accepted", "dead"]
    (again,) = [entry for entry in timeline[2:] if entry.what == "accepted"]
    assert again.text.startswith("again, from stripe, as entry ")
