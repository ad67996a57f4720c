"""Bulk acts by query: they touch what was counted, stop at the limit, and record who and why."""

from datetime import UTC, datetime

import asyncpg
import pytest

from consumers.settings import Settings
from operations import bulk
from operations.dead_letters import DeadLetterOutcome
from operations.held_back import UntrustedSourceError
from operations.log import Act, ActError, list_operations
from operations.payment_acts import Posting
from operations.search import Query, QueryError, parse_query
from operations.servers import Servers
from tests.support.events import contract_event
from tests.support.operator_commands import TRANSFERS, Operator, captured, unsigned
from tests.support.stream_states import Stream

ACT = Act("ada", "the shop is back", "command")
MINE = 'source:stripe type:charge.* reason:"timed out"'


@pytest.fixture
def servers(settings: Settings) -> Servers:
    return Servers(settings)


def query(text: str) -> Query:
    return parse_query(text, datetime.now(UTC))


async def make(stream: Stream, connection: asyncpg.Connection, names: list[str], reason: str = "it timed out") -> None:
    """Dead-letter these events."""
    for name in names:
        await stream.publish(contract_event(name, type="charge.failed"))
    for entry in await stream.read("worker-1", 100):
        await stream.dead_letter(connection, entry, reason)


async def states(connection: asyncpg.Connection) -> dict[str, str]:
    return dict(await connection.fetch("SELECT event_id, state FROM dead_letters"))


async def test_replaying_touches_what_was_counted_and_nothing_later(
    servers: Servers, stream: Stream, connection: asyncpg.Connection
) -> None:
    await make(stream, connection, ["evt_1", "evt_2"])
    await make(stream, connection, ["evt_other"], "no such shop")
    selection = await bulk.select_dead_letters(connection, query(MINE))
    assert selection.count == 2
    await make(stream, connection, ["evt_later"])
    results = [result async for result in bulk.replay_selected(servers, selection, act=ACT)]
    assert [result.outcome for result in results] == [DeadLetterOutcome.ADDED] * 2
    assert await states(connection) == {
        "evt_1": "replayed", "evt_2": "replayed", "evt_other": "open", "evt_later": "open",
    }  # fmt: skip
    again = await bulk.select_dead_letters(connection, query(MINE), up_to=selection.up_to)
    assert again.count == 0
    assert (await bulk.select_dead_letters(connection, query(MINE))).count == 1


async def test_a_bulk_act_is_recorded_with_its_query_actor_and_reason(
    servers: Servers, stream: Stream, connection: asyncpg.Connection
) -> None:
    await make(stream, connection, ["evt_1", "evt_2"])
    selection = await bulk.select_dead_letters(connection, query(MINE))
    assert [result.outcome async for result in bulk.discard_selected(servers, selection, act=ACT)] == [
        DeadLetterOutcome.DISCARDED
    ] * 2
    whole, *single = await list_operations(connection, before=None, limit=10)
    assert (whole.action, whole.actor, whole.reason, whole.touched) == ("discard by query", "ada", ACT.reason, 2)
    assert whole.details["query"] == MINE
    assert [(each.action, each.reason) for each in single] == [("discard", ACT.reason)] * 2
    results = [result.outcome async for result in bulk.discard_selected(servers, selection, act=ACT)]
    assert results == [DeadLetterOutcome.CLOSED_BEFORE] * 2
    assert (await list_operations(connection, before=None, limit=1))[0].touched == 0


async def test_more_than_the_limit_is_refused(
    stream: Stream, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(stream, connection, ["evt_1", "evt_2", "evt_3"])
    monkeypatch.setattr(bulk, "BULK_MAX", 2)
    with pytest.raises(QueryError, match="matches more than 2"):
        await bulk.select_dead_letters(connection, query("status:dead"))
    assert (await bulk.select_dead_letters(connection, query("evt_1 evt_2"))).count == 2


@pytest.mark.parametrize(
    ("text", "mistake"), [("", "The query is empty"), ("status:applied", "Only open dead letters can be acted on")]
)
async def test_a_query_that_is_not_about_dead_letters_is_refused(
    connection: asyncpg.Connection, text: str, mistake: str
) -> None:
    with pytest.raises(QueryError, match=mistake):
        await bulk.select_dead_letters(connection, query(text))


async def test_without_a_reason_nothing_is_done(
    servers: Servers, stream: Stream, connection: asyncpg.Connection
) -> None:
    await make(stream, connection, ["evt_1"])
    selection = await bulk.select_dead_letters(connection, query(MINE))
    for act_on in (bulk.replay_selected, bulk.discard_selected):
        with pytest.raises(ActError, match="needs a reason"):
            await anext(act_on(servers, selection, act=Act("ada", " ", "console")))
    assert await states(connection) == {"evt_1": "open"}


async def test_unsigned_facts_are_released_by_query(operator: Operator) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1", "pi_1"), captured(800, "evt_2", "pi_2")))
    servers = Servers(operator.settings)
    selection = await bulk.select_held(operator.connection, query("payment:pi_2"))
    assert (selection.count, selection.sources) == (1, ["stripe"])
    operator.trust('[stripe]\nprovider = "stripe"\n')
    with pytest.raises(UntrustedSourceError):
        await bulk.release_selected(servers, Posting.read(operator.settings), selection, act=ACT)
    operator.trust()
    release = await bulk.release_selected(servers, Posting.read(operator.settings), selection, act=ACT)
    assert (release.released, release.booked, release.failed) == (1, 1, [])
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_2"]
    assert (await list_operations(operator.connection, before=None, limit=1))[0].action == "release by query"
    assert (await bulk.select_held(operator.connection, query("status:held"))).count == 1
