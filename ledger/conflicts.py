"""Conflicts between events: recorded, never overwritten. An open conflict stops the transfers of its payment."""

from collections.abc import Sequence
from typing import NamedTuple

from contract.event import Event
from contract.facts import Fact
from ledger.outcome import EventFact, Outcome
from ledger.transfers import PaymentUpdate
from sql import columns, load
from sql.connect import Connection

CONFIRMATIONS = load("confirmations")
CONFLICTS = load("conflicts")
PAYMENTS = load("payments")


async def record_conflicts(connection: Connection, unbooked: Sequence[PaymentUpdate], outcome: Outcome) -> None:
    """Record which of these unbooked transfers contradict a booked one, and hold back those of a stopped payment.

    A transfer that was booked before on the same terms needs nothing.
    """
    differing = await connection.fetch(
        *CONFLICTS.bind(
            "find_differing_transfers",
            **_payments(unbooked),
            **columns(unbooked, "transfer_key", "currency"),
            amount=[update.transfer_amount for update in unbooked],
        )
    )
    if not differing:
        return
    concerned = [unbooked[found["position"] - 1] for found in differing]
    payments = _payments(concerned)
    rows = await connection.fetch(*CONFLICTS.bind("find_stopped_payments", **payments))
    stopped = {tuple(row) for row in rows}
    for update, (_, booked_amount, booked_currency) in zip(concerned, differing, strict=True):
        if booked_amount is None and update.payment in stopped:
            await _hold_back_transfer(connection, update, outcome)
        else:
            await _open_conflict(connection, update, booked_amount, booked_currency, outcome)
    await recompute_payments(connection, payments["namespace"], payments["payment_id"])


async def record_currency_conflicts(
    connection: Connection, updates: Sequence[PaymentUpdate], outcome: Outcome
) -> None:  # fmt: skip
    """Stop the payments that were reported in two currencies, even if no transfer was reported in both."""
    updates = [update for update in updates if not update.of_dispute]
    by_payment = {update.payment: update for update in updates}
    found = await connection.fetch(
        *CONFLICTS.bind("find_currency_conflicts", **_payments(updates), **columns(updates, "currency"))
    )
    for namespace, payment_id, known_currency in found:
        update = by_payment[namespace, payment_id]
        currency_only = PaymentUpdate(update.event, update.currency, transfer_key=f"currency:{payment_id}")
        await _open_conflict(connection, currency_only, None, known_currency, outcome)


async def recompute_payments(connection: Connection, namespaces: Sequence[str], payment_ids: Sequence[str]) -> None:
    """Compute the rows of payments that have conflicts again, after the decisions about them."""
    await connection.execute(*PAYMENTS.bind("recompute_payments", namespace=namespaces, payment_id=payment_ids))


async def hold_back_unsigned(
    connection: Connection, batch: Sequence[tuple[Event, Sequence[Fact]]], outcome: Outcome
) -> None:  # fmt: skip
    """Hold back the facts of events whose signature does not cover them."""
    await _hold_back(connection, "unsigned", [(event, fact) for event, facts in batch for fact in facts], outcome)


class Claim(NamedTuple):
    """Who asks the provider's API about an event, and how long nobody else does; without a name, anybody at once."""

    by: str | None
    lease_s: float


UNCLAIMED = Claim(None, 0.0)


async def ask_for(
    connection: Connection, events: Sequence[Event], claims: Sequence[Claim], outcome: Outcome
) -> None:  # fmt: skip
    """Record that the provider's API is to be asked about events that their signature does not prove."""
    outcome.asked.extend(events)
    await connection.execute(
        *CONFIRMATIONS.bind(
            "ask_for",
            **columns(events, "namespace", "event_id", "source"),
            payment_id=[event.resource for event in events],
            claimed_by=[claim.by for claim in claims],
            lease_s=[claim.lease_s for claim in claims],
        )
    )


async def _hold_back_transfer(connection: Connection, update: PaymentUpdate, outcome: Outcome) -> None:
    if update.fact:
        await _hold_back(connection, "conflict", [(update.event, update.fact)], outcome, update)


async def _hold_back(
    connection: Connection, reason: str, held: Sequence[EventFact], outcome: Outcome,
    update: PaymentUpdate | None = None,
) -> None:  # fmt: skip
    events = [event for event, _ in held]
    outcome.held_back.update(event.source for event in events)
    await connection.execute(
        *CONFLICTS.bind(
            "hold_back",
            **columns(events, "namespace", "event_id", "source"),
            payment_id=[event.resource for event in events],
            reason=reason,
            **columns([fact for _, fact in held], "kind", "object", "amount", "currency"),
            transfer_key=update and update.transfer_key,
            debit_account=update and update.debit_account,
            credit_account=update and update.credit_account,
            dispute_id=update and update.dispute_id,
        )
    )


async def _open_conflict(
    connection: Connection, update: PaymentUpdate, booked_amount: int | None, booked_currency: str | None,
    outcome: Outcome,
) -> None:  # fmt: skip
    namespace, payment_id = update.payment
    number = await connection.fetchval(
        *CONFLICTS.bind(
            "open_conflict",
            namespace=namespace,
            payment_id=payment_id,
            transfer_key=update.transfer_key,
            booked_amount=booked_amount,
            booked_currency=booked_currency,
            reported_amount=update.transfer_amount,
            reported_currency=update.currency,
            debit_account=update.debit_account,
            credit_account=update.credit_account,
            event_id=update.event.event_id,
            dispute_id=update.dispute_id,
        )
    )
    if number is not None:
        outcome.conflicts[update.event.source] += 1


def _payments(updates: Sequence[PaymentUpdate]) -> dict[str, list[str]]:
    return {
        "namespace": [update.event.namespace for update in updates],
        "payment_id": [update.event.resource for update in updates],
    }
