"""The upgrade of a database without transfers books what its payments say was captured, once."""

import json
import shutil
from pathlib import Path

import asyncpg
import pytest

from sql.audit import audit
from sql.connect import connect
from sql.migrate import MIGRATIONS, migrate

WAIT_S = 10.0

EVENT = """
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
VALUES ('stripe', $1, 'stripe', 'stripe', $2, $3, $4, 'body', '2026-01-02')
"""
PAYLOAD = "INSERT INTO payloads VALUES ('stripe', $1, '2026-01-02', '{}', $2)"
PAYMENT = """
INSERT INTO payments (namespace, payment_id, provider, currency, amount, captured, refunded, disputed, succeeded)
VALUES ('stripe', $1, 'stripe', 'EUR', 1999, $2, $3, $4, true)
"""
EVENTS = (
    ("payment_intent.succeeded", "pi_1"),
    ("charge.succeeded", "pi_1"),
    ("charge.refunded", "pi_1"),
    ("charge.succeeded", "pi_2"),
    ("charge.dispute.created", "pi_2"),
    ("payment_intent.succeeded", "pi_3"),
)
DISPUTE = {"data": {"object": {"id": "dp_1", "amount": 500, "currency": "eur"}}}


@pytest.fixture
async def old(empty_database_url: str, tmp_path: Path) -> asyncpg.Connection:
    """A database of the first version: one payment partly refunded, one disputed, one without a capture."""
    shutil.copy(MIGRATIONS / "0001_events.sql", tmp_path)
    async with connect(empty_database_url, timeout_s=WAIT_S) as connection:
        await migrate(connection, lock_wait_s=WAIT_S, folder=tmp_path)
        for number, (type_, payment) in enumerate(EVENTS, start=1):
            await connection.execute(EVENT, f"evt_{number}", f"{number}-0", type_, payment)
            await connection.execute(PAYLOAD, f"evt_{number}", json.dumps(DISPUTE).encode())
        for row in (("pi_1", 1999, 700, 0), ("pi_2", 1999, 0, 500), ("pi_3", 0, 0, 0)):
            await connection.execute(PAYMENT, *row)
        yield connection


async def test_captures_of_before_the_upgrade_are_booked(old: asyncpg.Connection) -> None:
    await migrate(old, lock_wait_s=WAIT_S)
    transfers = await old.fetch("SELECT movement, credit_account, amount FROM transfers ORDER BY 1")
    assert [tuple(row) for row in transfers] == [("capture:pi_1", "merchant", 1999), ("capture:pi_2", "merchant", 1999)]
    payments = await old.fetch("SELECT payment_id, status, captured, refunded, disputed FROM payments ORDER BY 1")
    assert [tuple(row) for row in payments] == [
        ("pi_1", "partially_refunded", 1999, 700, 0),
        ("pi_2", "disputed", 1999, 0, 500),
        ("pi_3", "succeeded", 0, 0, 0),
    ]
    assert [tuple(row) for row in await old.fetch("SELECT dispute_id, payment_id, amount FROM disputes")] == [
        ("dp_1", "pi_2", 500)
    ]
    assert await audit(old) == []
