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
from tests.support.stories.base import published

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


async def test_an_event_without_a_mode_has_that_of_its_payment(workers: Workers) -> None:
    heard: list[str] = []
    handlers = builtin({"stripe": PostingRules(mode="live")}).joined_with(listening(heard))
    paid = contract_event("evt_1", "pi_test", mode="test")
    silent = contract_event("evt_2", "pi_test")
    other_payment, live = contract_event("evt_3", "pi_old"), contract_event("evt_4", "pi_live", mode="live")
    await apply(workers, handlers, paid)
    await apply(workers, handlers, silent, other_payment, live, silent)
    assert await workers.rows("SELECT event_id, mode FROM events ORDER BY 1") == [
        ("evt_1", "test"), ("evt_2", None), ("evt_3", None), ("evt_4", "live")
    ]  # fmt: skip
    assert await workers.rows("SELECT event_id, mode, resource FROM events_of_other_mode ORDER BY 1") == [
        ("evt_1", "test", "pi_test"), ("evt_2", "test", "pi_test")
    ]  # fmt: skip
    assert await workers.rows("SELECT payment_id FROM payments ORDER BY 1") == [("pi_live",), ("pi_old",)]
    assert sorted(heard) == ["fact evt_3", "fact evt_4", "type evt_3", "type evt_4"]
    assert await audit(workers.connection) == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_chargeback_of_a_test_payment_moves_nothing(workers: Workers, order: tuple[int, int]) -> None:
    """Mollie's chargebacks have no mode. In one batch even the order does not matter."""
    amount = {"value": "10.00", "currency": "EUR"}
    payment = {"id": "tr_1", "mode": "test", "amount": amount}
    chargeback = {"id": "chb_1", "paymentId": "tr_1", "amount": amount}
    events = [
        published("mollie", {"id": f"event_{number}", "type": type_, "entityId": entity["id"],
                             "_embedded": {"entity": entity}})
        for number, (type_, entity) in enumerate([("payment.paid", payment), ("chargeback.received", chargeback)])
    ]  # fmt: skip
    await apply(workers, builtin({}), *(events[each] for each in order))
    assert await workers.rows("SELECT * FROM payments") == await workers.rows("SELECT * FROM transfers") == NOTHING
    assert await workers.rows("SELECT * FROM disputes") == NOTHING
    assert await workers.row("SELECT count(*) FROM events_of_other_mode") == (2,)


async def test_a_provider_that_never_says_its_mode_is_not_asked_for_it(workers: Workers) -> None:
    test, silent = contract_event("evt_1", "pi_1", mode="test"), contract_event("evt_2", "pi_1")
    square = [replace(each, provider="square", source="square") for each in (test, silent)]
    await apply(workers, builtin({}), *square)
    assert await workers.rows("SELECT event_id FROM events_of_other_mode") == [("evt_1",)]


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
