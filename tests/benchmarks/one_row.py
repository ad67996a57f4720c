"""A handler that writes one row for each event, as HANDLERS of a worker."""

from consumers.handlers import Connection, Event, Handlers, PaymentFact

TABLE = "CREATE TABLE handled (id uuid PRIMARY KEY, payment_id text NOT NULL, amount bigint NOT NULL)"
COUNT = "SELECT count(*) FROM handled"

handlers = Handlers()


@handlers.on_fact("captured")
async def write(connection: Connection, _: Event, fact: PaymentFact) -> None:
    await connection.execute(
        "INSERT INTO handled VALUES ($1, $2, $3)", fact.idempotency_key, fact.payment_id, fact.amount
    )
