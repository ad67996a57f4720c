"""What two events contradict each other about: recorded, never overwritten, and the payment's money stops."""

from collections.abc import Sequence

from contract.event import Event
from contract.facts import Fact
from ledger.outcome import Outcome
from ledger.transfers import Row
from sql import load
from sql.connect import Connection

CONFLICTS = load("conflicts")
PAYMENTS = load("payments")


async def settle_unbooked(connection: Connection, rows: Sequence[Row], outcome: Outcome) -> None:
    """What becomes of movements that were told and not booked just now: nothing, where they were booked before.

    Contradictions are recorded; what would move the money of a stopped payment is held back.
    """
    unsettled = await connection.fetch(
        CONFLICTS["find_unsettled"],
        [row.event.namespace for row in rows],
        [row.movement for row in rows],
        [row.moved for row in rows],
        [row.currency for row in rows],
        [row.event.resource for row in rows],
    )
    if not unsettled:
        return
    concerned = [rows[found["position"] - 1] for found in unsettled]
    stopped = {tuple(found) for found in await connection.fetch(CONFLICTS["find_stopped"], *_payments(concerned))}
    for row, (_, booked_amount, booked_currency) in zip(concerned, unsettled, strict=True):
        if booked_amount is None and row.payment in stopped:
            await hold_back(connection, row.event, [row.fact] if row.fact else [], outcome, row)
        else:
            await _open(connection, row, booked_amount, booked_currency, outcome)
    await connection.execute(PAYMENTS["restate_payments"], *_payments(concerned))


async def settle_contradicted(connection: Connection, rows: Sequence[Row], outcome: Outcome) -> None:
    """Stops the money of payments that were told in two currencies, even where no movement was told in either."""
    by_payment = {row.payment: row for row in rows}
    found = await connection.fetch(
        CONFLICTS["find_contradicted"], *_payments(rows), [row.currency for row in rows]
    )  # fmt: skip
    for namespace, payment_id, known in found:
        row = by_payment[namespace, payment_id]
        plain = Row(row.event, row.currency, movement=f"currency:{payment_id}")
        await _open(connection, plain, None, known, outcome)


async def hold_back(
    connection: Connection, event: Event, facts: Sequence[Fact], outcome: Outcome, row: Row | None = None
) -> None:
    """Keeps facts that may not move money: a row's, because of a conflict; an event's, because they are not signed."""
    if not facts:
        return
    outcome.held_back[event.source] += len(facts)
    count = len(facts)
    await connection.execute(
        CONFLICTS["hold_back"],
        [event.namespace] * count,
        [event.event_id] * count,
        [event.resource] * count,
        [event.source] * count,
        ["conflict" if row else "unsigned"] * count,
        [fact.kind for fact in facts],
        [fact.object for fact in facts],
        [fact.amount for fact in facts],
        [fact.currency for fact in facts],
        [row and row.movement] * count,
        [row and row.debit] * count,
        [row and row.credit] * count,
    )


async def _open(
    connection: Connection, row: Row, booked_amount: int | None, booked_currency: str | None, outcome: Outcome
) -> None:
    number = await connection.fetchval(
        CONFLICTS["open_conflict"], *row.payment, row.movement, booked_amount, booked_currency, row.moved,
        row.currency, row.debit, row.credit, row.event.event_id,
    )  # fmt: skip
    if number is not None:
        outcome.conflicts[row.event.source] += 1


def _payments(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    return [row.event.namespace for row in rows], [row.event.resource for row in rows]
