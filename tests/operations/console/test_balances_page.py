"""The page of the ledger's balances."""

import asyncpg
import pytest

from operations import balances
from operations.console.pages import balances as page_of_balances
from tests.support.console import RunningConsole
from tests.support.hostile_texts import HOSTILE, assert_harmless

TRANSFER = """
INSERT INTO transfers (namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
VALUES ($1, $2, 'pi_1', $3, 'merchant', $4, 'EUR', 'evt_1')
"""

SLOW = """
CREATE OR REPLACE VIEW balances AS
SELECT namespace, debit_account AS account, currency, amount::numeric AS debits, 0::numeric AS credits,
       (amount + length(pg_sleep(5)::text))::numeric AS balance
FROM transfers
"""


async def test_balances_of_one_namespace_are_shown(console: RunningConsole, connection: asyncpg.Connection) -> None:
    assert "No money was booked yet." in (await console.viewer.get("/balances")).text
    await connection.execute(TRANSFER, "acme", "capture:1", "provider:stripe", 1234)
    page = await console.viewer.get("/balances")
    assert page.text.count("12.34 EUR") == 4
    assert "-12.34 EUR" in page.text
    await connection.execute(TRANSFER, "other", "capture:1", "provider:stripe", 5)
    assert "Choose a namespace." in (await console.viewer.get("/balances")).text
    assert "0.05 EUR" in (await console.viewer.get("/balances", {"namespace": "other"})).text


async def test_a_large_ledger_is_added_up_only_if_asked_for(
    console: RunningConsole, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "TRANSFERS_AT_ONCE", 1)
    for number in range(2):
        await connection.execute(TRANSFER, "acme", f"capture:{number}", "provider:stripe", 1234)
    page = await console.viewer.get("/balances", {"namespace": "acme"})
    assert "nothing was added up yet" in page.text
    assert "24.68 EUR" in (await console.viewer.get("/balances", {"namespace": "acme", "add": "1"})).text


async def test_adding_up_ends_after_its_limit_and_says_so(
    console: RunningConsole, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of_balances, "TIMEOUT_S", 0.05)
    await connection.execute(TRANSFER, "acme", "capture:1", "provider:stripe", 1234)
    await connection.execute(SLOW)
    page = await console.viewer.get("/balances")
    assert page.status == 200
    assert "takes longer than 0.05 s" in page.text


async def test_names_of_accounts_are_escaped(console: RunningConsole, connection: asyncpg.Connection) -> None:
    await connection.execute(TRANSFER, HOSTILE, "capture:1", HOSTILE, 5)
    assert_harmless((await console.viewer.get("/balances")).text)
