"""sql/schema.sql equals the migrations' result, and the schema refuses rows that must never exist."""

from pathlib import Path

import asyncpg
import pytest

from tests.support.schema import SNAPSHOT, normalised, snapshot

DEAD = """
INSERT INTO dead_letters (entry_id, state, reason, traceback, attempts, field_names, field_values)
VALUES ($1, $2, '', '', $3, $4, '{}')
"""
PAYMENT = "INSERT INTO payments (namespace, payment_id, provider, currency, {}) VALUES ('a', 'p', 'a', $1, $2)"
EVENT = """
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
VALUES ('a', 'e', 'a', 'a', $1, 't', 'r', $2, now())
"""


def test_the_snapshot_is_the_sum_of_the_migrations(tmp_path: Path) -> None:
    assert SNAPSHOT.read_text() == snapshot(tmp_path / "postgres"), "run `make schema` and look at what changed"


def test_the_snapshot_does_not_change_with_the_month_or_the_dump() -> None:
    dump = (
        "-- Dumped by pg_dump 18\n\\restrict x\nSET a = 1;\nSELECT pg_catalog.set_config('x', '', false);\nCREATE x;\n"
    )
    assert normalised(dump).splitlines()[2:] == ["", "CREATE x;"]
    assert "payloads_2" not in SNAPSHOT.read_text()


TRANSFER = """
INSERT INTO transfers (namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
VALUES ('a', 'capture:c', 'p', 'from', $1, $2, $3, 'e')
"""


async def test_money_is_never_negative(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(PAYMENT.format("amount"), "EUR", -1)


@pytest.mark.parametrize(
    ("credit", "amount", "currency"), [("to", 0, "EUR"), ("to", -1, "EUR"), ("from", 1, "EUR"), ("to", 1, "eur")]
)
async def test_a_transfer_has_an_amount_and_two_accounts(
    connection: asyncpg.Connection, credit: str, amount: int, currency: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(TRANSFER, credit, amount, currency)


async def test_a_transfer_is_booked_once(connection: asyncpg.Connection) -> None:
    await connection.execute(TRANSFER, "to", 1, "EUR")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(TRANSFER, "elsewhere", 2, "EUR")


@pytest.mark.parametrize("currency", [None, "eur", "EURO", ""])
async def test_money_has_a_currency(connection: asyncpg.Connection, currency: str | None) -> None:
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.NotNullViolationError)):
        await connection.execute(PAYMENT.format("amount"), currency, 1)


@pytest.mark.parametrize(("entry_id", "signed"), [("1", "body"), ("1-", "body"), ("1-0 ", "body"), ("1-0", "maybe")])
async def test_an_event_names_its_entry_and_what_was_signed(
    connection: asyncpg.Connection, entry_id: str, signed: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(EVENT, entry_id, signed)


@pytest.mark.parametrize(
    ("entry_id", "state", "attempts", "names"),
    [("x", "open", 1, []), ("1-0", "lost", 1, []), ("1-0", "open", -1, []), ("1-0", "open", 1, [b"v"])],
)
async def test_a_dead_letter_has_as_many_values_as_names(
    connection: asyncpg.Connection, entry_id: str, state: str, attempts: int, names: list[bytes]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(DEAD, entry_id, state, attempts, names)
