"""The handlers, tried out on recorded events. `database_url` is a fixture of yours: the address of a test database."""

from itertools import permutations
from pathlib import Path

from consumers.handlers.testing import applied, recorded
from credits import handlers

HERE = Path(__file__).parent
TABLES = (HERE / "credits.sql").read_text()
CAPTURE = recorded("stripe", HERE / "payment_intent_succeeded.json")
SAME_CAPTURE = recorded("stripe", HERE / "charge_succeeded.json")
REFUND = recorded("stripe", HERE / "refund_created.json")
BALANCE = "SELECT balance FROM credits WHERE customer_id = 'ada'"


async def test_a_capture_grants_a_credit(database_url: str) -> None:
    async with applied(handlers, *CAPTURE, database_url=database_url, tables=TABLES) as connection:
        assert await connection.fetchval(BALANCE) == 4590


async def test_neither_the_order_nor_a_duplicate_changes_a_credit(database_url: str) -> None:
    for events in permutations([*CAPTURE, *SAME_CAPTURE, *REFUND, *REFUND]):
        async with applied(handlers, *events, database_url=database_url, tables=TABLES) as connection:
            assert await connection.fetchval(BALANCE) == 3590
