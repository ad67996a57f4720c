"""The handlers, applied to an event as Stripe sends it."""

from pathlib import Path

from consumers.handlers.testing import applied
from providers.testing import recorded
from shop_handlers import handlers

TABLES = (Path(__file__).parent / "shipments.sql").read_text()
CAPTURE = recorded("stripe", {
    "id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": 1772445013,
    "data": {"object": {
        "id": "pi_1", "object": "payment_intent", "amount": 4590, "amount_received": 4590, "currency": "eur",
    }},
})  # fmt: skip


async def test_a_captured_payment_is_shipped_once(database_url: str) -> None:
    async with applied(handlers, *CAPTURE, *CAPTURE, database_url=database_url, tables=TABLES) as connection:
        assert await connection.fetchval("SELECT count(*) FROM shipments") == 1
