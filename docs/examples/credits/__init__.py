"""Customers are granted a credit of what was captured for them; what is refunded is taken back."""

import json

from consumers.handlers import Connection, Event, Handlers, PaymentFact

handlers = Handlers()


@handlers.on_fact("captured")
async def grant(connection: Connection, event: Event, fact: PaymentFact) -> None:
    """The customer is known from here on, whichever came first: this, or a refund."""
    if customer := _customer_of(event):
        await connection.execute(
            "INSERT INTO credit_owners VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            event.namespace, fact.payment_id, customer,
        )  # fmt: skip
    await _change(connection, event, fact, fact.amount)


@handlers.on_fact("refunded")
@handlers.on_fact("capture_failed")
async def take_back(connection: Connection, event: Event, fact: PaymentFact) -> None:
    """A balance may fall below 0, if the credit is spent already."""
    await _change(connection, event, fact, -fact.amount)


@handlers.on_fact("refund_failed")
async def grant_again(connection: Connection, event: Event, fact: PaymentFact) -> None:
    """The money of a refund came back, so the customer keeps the credit."""
    await _change(connection, event, fact, fact.amount)


async def _change(connection: Connection, event: Event, fact: PaymentFact, amount: int) -> None:
    await connection.execute(
        "INSERT INTO credit_changes (id, namespace, payment_id, amount, currency) VALUES ($1, $2, $3, $4, $5)",
        fact.idempotency_key, event.namespace, fact.payment_id, amount, fact.currency,
    )  # fmt: skip


def _customer_of(event: Event) -> str | None:
    """Return the customer that your shop named in the payment intent's metadata. Stripe copies it to the charge."""
    if event.provider != "stripe":
        return None
    metadata = json.loads(event.body)["data"]["object"].get("metadata") or {}
    return metadata.get("customer_id")
