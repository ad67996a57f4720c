"""Handlers as a user writes them (`HANDLERS=tests.support.fact_handlers:handlers`), writing rows to `handled_facts`."""

from consumers.handlers import Connection, Handlers, PaymentFact
from contract.event import Event

TABLE = """
CREATE TABLE handled_facts (
    number bigint GENERATED ALWAYS AS IDENTITY, event_id text, body_bytes integer, kind text, object text,
    amount bigint, currency text, key text
)
"""
"""Made by a test that uses them."""

INSERT = """
INSERT INTO handled_facts (event_id, body_bytes, kind, object, amount, currency, key)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

handlers = Handlers()


@handlers.on_fact("captured")
@handlers.on_fact("refunded")
@handlers.on_fact("authorized")
async def record_fact(connection: Connection, event: Event, fact: PaymentFact) -> None:
    await connection.execute(
        INSERT, event.event_id, len(event.body), fact.kind, fact.object, fact.amount, fact.currency,
        fact.idempotency_key,
    )  # fmt: skip
