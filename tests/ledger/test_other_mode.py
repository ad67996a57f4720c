"""Test money at a live source, and live money at a test source: recorded, visible, and nothing else."""

from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event, Mode
from sql.audit import audit
from tests.support.consuming import Workers
from tests.support.events import contract_event

NOTHING: list[Any] = []


async def apply(workers: Workers, handlers: Handlers, *events: Event) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working(handlers):
        await workers.drained()


def listening(heard: list[str]) -> Handlers:
    handlers = Handlers()

    async def by_type(_: Connection, event: Event) -> None:
        heard.append(f"type {event.event_id}")

    async def by_fact(_: Connection, event: Event) -> None:
        heard.append(f"fact {event.event_id}")

    handlers.on("stripe", "payment_intent.succeeded")(by_type)
    handlers.on_fact("captured")(by_fact)
    return handlers


@pytest.mark.parametrize(("source_mode", "event_mode"), [("live", "test"), ("test", "live")])
async def test_an_event_of_the_other_mode_is_recorded_and_moves_nothing(
    workers: Workers, source_mode: Mode, event_mode: Mode
) -> None:
    heard: list[str] = []
    handlers = builtin({"stripe": PostingRules(mode=source_mode)}).joined_with(listening(heard))
    other = contract_event("evt_other", "pi_other", mode=event_mode, account="acct_1")
    fitting, silent = contract_event("evt_1", "pi_1", mode=source_mode), contract_event("evt_2", "pi_2")
    await apply(workers, handlers, other, fitting, silent, other)
    assert await workers.rows("SELECT event_id, mode, account FROM events ORDER BY 1") == [
        ("evt_1", source_mode, ""), ("evt_2", None, ""), ("evt_other", event_mode, "acct_1")
    ]  # fmt: skip
    assert await workers.rows("SELECT event_id, source, mode FROM events_of_other_mode") == [
        ("evt_other", "stripe", event_mode)
    ]
    assert await workers.rows("SELECT payment_id FROM payments ORDER BY 1") == [("pi_1",), ("pi_2",)]
    assert await workers.rows("SELECT movement FROM transfers ORDER BY 1") == [("capture:pi_1",), ("capture:pi_2",)]
    assert await workers.rows("SELECT event_id FROM held_back") == NOTHING
    assert sorted(heard) == ["fact evt_1", "fact evt_2", "type evt_1", "type evt_2"]
    assert await audit(workers.connection) == []
    await workers.assert_all_acked()


async def test_the_default_mode_of_a_source_is_live(workers: Workers) -> None:
    await apply(workers, builtin({}), contract_event("evt_test", mode="test"), contract_event("evt_live", mode="live"))
    assert await workers.rows("SELECT event_id FROM transfers") == [("evt_live",)]


async def test_test_money_of_a_batch_is_counted_and_logged(
    workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    await apply(workers, builtin({}), *(contract_event(f"evt_{n}", mode="test") for n in range(3)))
    assert "other mode" in "".join(capsys.readouterr())


async def test_whose_money_it_is_can_name_the_account(workers: Workers) -> None:
    rules = PostingRules.from_table({"accounts": {"merchant": "merchant:{account}"}})
    first = contract_event("evt_1", "pi_1", account="acct_A")
    await apply(workers, builtin({"stripe": rules}), first, contract_event("evt_2", "pi_2"))
    assert await workers.rows("SELECT credit_account FROM transfers ORDER BY 1") == [
        ("merchant:acct_A",), ("merchant:own",)
    ]  # fmt: skip
    assert await workers.rows("SELECT payment_id, account FROM payments ORDER BY 1") == [
        ("pi_1", "acct_A"), ("pi_2", "")
    ]  # fmt: skip
    again = replace(first, event_id="evt_3", account="")
    await apply(workers, builtin({"stripe": rules}), again)
    assert await workers.rows("SELECT account FROM payments WHERE payment_id = 'pi_1'") == [("acct_A",)]


BOOKS = (
    "events", "duplicates", "dead_letters", "payments", "transfers", "disputes", "conflicts", "held_back",
    "events_of_other_mode",
)  # fmt: skip


@pytest.mark.parametrize("table", BOOKS)
async def test_the_books_cannot_be_emptied(connection: asyncpg.Connection, table: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match=f"{table} is kept"):
        await connection.execute(f"TRUNCATE {table} CASCADE")
