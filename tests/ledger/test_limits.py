"""Amounts and currencies that the books cannot hold are refused with a sentence; all others never break a sum."""

import json
from typing import Any

import asyncpg
import pytest

from contract.event import Event
from contract.facts import Fact
from contract.money import AMOUNT_MAX, CURRENCIES
from tests.support.consuming import Workers
from tests.support.events import contract_event, stripe_event
from tests.support.posting import Report, applied

DEAD = "SELECT event_id, reason FROM dead_letters ORDER BY event_id"


def captured(number: int, payment: str, amount: int = AMOUNT_MAX, currency: str = "eur") -> Event:
    body = stripe_event(f"evt_{number}", payment, amount=amount, currency=currency)
    return contract_event(f"evt_{number}", payment, body=json.dumps(body).encode())


async def apply(workers: Workers, *events: Event) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working():
        await workers.drained()


async def test_sums_of_many_of_the_largest_amounts_are_right(workers: Workers) -> None:
    await apply(workers, *(captured(number, f"pi_{number}") for number in range(120)))
    assert await workers.rows("SELECT account, balance FROM balances ORDER BY account") == [
        ("merchant", 120 * AMOUNT_MAX), ("provider:stripe", -120 * AMOUNT_MAX)
    ]  # fmt: skip
    assert await workers.rows(DEAD) == []


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        (AMOUNT_MAX + 1, "eur", "the amount is not between 0 and 100000000000000000 minor units"),
        (700, "nan", "'NAN' is not a currency code of ISO 4217"),
        (700, "zzz", "'ZZZ' is not a currency code of ISO 4217"),
    ],
)
async def test_money_that_cannot_be_booked_is_refused_and_stops_nothing_else(
    workers: Workers, amount: int, currency: str, reason: str
) -> None:
    await apply(workers, captured(1, "pi_1", amount, currency), captured(2, "pi_2", 700))
    ((event_id, shown),) = await workers.rows(DEAD)
    assert event_id == "evt_1"
    assert reason in shown
    assert await workers.rows("SELECT payment_id, amount FROM payments") == [("pi_2", 700)]


async def test_a_payments_sum_that_would_not_fit_is_refused(connection: asyncpg.Connection) -> None:
    reports = [Report(number, (Fact("captured", AMOUNT_MAX, "EUR", f"c{number}"),)) for number in range(93)]
    async with applied(connection, [reports[:92]]) as after:
        assert after.balances[0] == ("merchant", "EUR", 92 * AMOUNT_MAX)
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        async with applied(connection, [reports]):
            pass


TRANSFER = """
INSERT INTO transfers (namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
VALUES ('a', 'capture:c', 'p', 'from', 'to', $1, $2, 'e')
"""


async def test_the_database_knows_the_same_currencies(connection: asyncpg.Connection) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    codes = [a + b + c for a in letters for b in letters for c in letters]
    rows = await connection.fetch("SELECT code FROM unnest($1::text[]) AS all_ (code) WHERE is_currency(code)", codes)
    assert {row["code"] for row in rows} == CURRENCIES


@pytest.mark.parametrize(("amount", "currency"), [(1, "NAN"), (AMOUNT_MAX + 1, "EUR")])
async def test_the_database_refuses_them_too(connection: asyncpg.Connection, amount: Any, currency: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(TRANSFER, amount, currency)
