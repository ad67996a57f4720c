"""An order is shipped once its payment is captured."""

from consumers.handlers import Connection, Event, Handlers, PaymentFact

handlers = Handlers()


@handlers.on_fact("captured")
async def ship(connection: Connection, event: Event, fact: PaymentFact) -> None:
    """Put the payment on the list of shipments."""
    await connection.execute(
        "INSERT INTO shipments (namespace, payment_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        event.namespace, fact.payment_id,
    )  # fmt: skip
