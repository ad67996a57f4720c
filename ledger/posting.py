"""Booking facts in an open transaction: payments, transfers and disputes, a few statements per batch of events."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import TypeAlias

from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import DISPUTE_STATES, Fact, Kind
from ledger.conflicts import recompute_payments, record_conflicts, record_currency_conflicts
from ledger.disputes import merge_disputes, recompute_disputes
from ledger.outcome import EventFact, Outcome
from ledger.transfers import (
    TRANSFER_RULES,
    ConsistentBatch,
    PaymentUpdate,
    may_imply_captures,
    partition_conflicting,
    payment_updates,
)
from sql import columns, load
from sql.connect import Connection

PAYMENTS = load("payments")
DISPUTES = load("disputes")
EVENTS = load("events")

EventFacts: TypeAlias = "tuple[Event, Sequence[Fact]]"
"""An event, and all its facts."""

_UPDATE_COLUMNS = (
    "currency", "amount", "refunds_total", "authorized", "succeeded", "failed", "canceled", "capture_failed",
    "transfer_key", "transfer_amount", "adds_to", "debit_account", "credit_account", "dispute_id", "of_dispute",
    "captured_outside", "account", "asked",
)  # fmt: skip


async def post(
    connection: Connection,
    batch: Sequence[EventFacts],
    rules_of: Callable[[Event], PostingRules],
    wanted: AbstractSet[Kind],
) -> Outcome:
    """Book a batch of events' facts, of which none may be missing its implied ones.

    The outcome lists those facts of the wanted kinds that have become true now, and were not before.
    """
    outcome = Outcome()
    outcome.happened.extend(await find_new_states(connection, batch, wanted - TRANSFER_RULES.keys()))
    updates = chain.from_iterable(payment_updates(event, facts, rules_of(event)) for event, facts in batch)
    for consistent in partition_conflicting(updates):
        await book(connection, consistent, wanted, outcome)
    implying = [event for event, facts in batch if may_imply_captures(facts, rules_of(event))]
    if implying:
        await undo_captures(connection, implying, wanted, outcome)
    await merge_disputes(connection, batch)
    return outcome


async def undo_captures(
    connection: Connection, events: Sequence[Event], wanted: AbstractSet[Kind], outcome: Outcome
) -> None:  # fmt: skip
    """Undo the implied captures of these events' payments that do not count (find_captures_to_undo says which).

    What is undone depends on all facts of a payment, and not on which came first: a capture that does not count is
    always booked, and always undone, under keys of their own.
    """
    by_payment = {(event.namespace, event.resource): event for event in events}
    rows = await connection.fetch(
        *PAYMENTS.bind(
            "find_captures_to_undo",
            namespace=[namespace for namespace, _ in by_payment],
            payment_id=[payment_id for _, payment_id in by_payment],
        )
    )
    updates = (
        PaymentUpdate(
            by_payment[row["namespace"], row["payment_id"]],
            row["currency"],
            capture_failed=True,
            fact=Fact("capture_failed", row["amount"], row["currency"], row["object"]),
            transfer_key=f"{TRANSFER_RULES['capture_failed'].name}:{row['object']}",
            transfer_amount=row["amount"],
            adds_to=TRANSFER_RULES["capture_failed"].adds_to,
            debit_account=row["credit_account"],
            credit_account=row["debit_account"],
        )
        for row in rows
    )
    for consistent in partition_conflicting(updates):
        if consistent.updates:
            await book(connection, consistent, wanted, outcome)


async def lock_payments(connection: Connection, batch: Sequence[EventFacts], events: Sequence[Event]) -> None:
    """Exclude every other transaction from the payments that the facts are about, where these events' locks do not.

    Two workers that do so in a different order deadlock; Postgres ends one of them, and its events are tried again.
    """
    if not any(fact.payment for _, facts in batch for fact in facts):
        return
    locked = {(event.namespace, event.resource) for event in events}
    others = {(event.namespace, event.resource) for event, _ in batch} - locked
    if others:
        namespaces, payments = zip(*sorted(others), strict=True)
        await connection.execute(*EVENTS.bind("lock_resources", namespace=namespaces, resource=payments))


async def book(
    connection: Connection, batch: ConsistentBatch, wanted: AbstractSet[Kind], outcome: Outcome
) -> None:  # fmt: skip
    """Book a batch with one statement; record what contradicts earlier batches. Add the result to `outcome`."""
    updates = batch.updates
    if outside := [update for update in updates if update.captured_outside]:
        await _skip_booked(connection, outside)
    events = [update.event for update in updates]
    booked_keys, is_contradicted, is_converted, is_decided = await connection.fetchrow(
        *PAYMENTS.bind(
            "book_facts",
            **columns(events, "namespace", "provider", "occurred_at", "event_id"),
            payment_id=[event.resource for event in events],
            **columns(updates, *_UPDATE_COLUMNS),
        )
    )
    booked = frozenset(booked_keys or ())
    if wanted:
        outcome.happened.extend(
            (update.event, update.fact)
            for update in updates
            if update.fact and update.fact.kind in wanted and update.full_key in booked
        )
    if unbooked := [update for update in updates if update.transfer_key and update.full_key not in booked]:
        await record_conflicts(connection, unbooked, outcome)
    if is_contradicted:
        await record_currency_conflicts(connection, updates, outcome)
    if is_decided:  # the statement has merged what was dismissed, too
        await recompute_payments(
            connection, [event.namespace for event in events], [event.resource for event in events]
        )  # fmt: skip
    if is_converted:  # the payment's currency may be new, and decides whether less came back by the exchange rate
        await recompute_disputes(
            connection, [event.namespace for event in events], [event.resource for event in events]
        )


async def _skip_booked(connection: Connection, outside: Sequence[PaymentUpdate]) -> None:
    """Count no capture outside the provider that is a transfer already: version 0.2 booked each of them."""
    rows = await connection.fetch(
        *PAYMENTS.bind(
            "find_booked",
            namespace=[update.event.namespace for update in outside],
            transfer_key=[update.outside_key for update in outside],
        )
    )
    booked = {tuple(row) for row in rows}
    for update in outside:
        if (update.event.namespace, update.outside_key) in booked:
            update.captured_outside = 0


async def find_new_states(
    connection: Connection, batch: Sequence[EventFacts], wanted: AbstractSet[Kind]
) -> list[EventFact]:
    """Return those facts that are about a state in which the payment or dispute was not before, each once."""
    states = [(event, fact) for event, facts in batch for fact in facts if fact.kind in wanted]
    if not states:
        return []
    namespaces = [event.namespace for event, _ in states]
    payments, disputes = [event.resource for event, _ in states], [fact.object for _, fact in states]
    of_payments = PAYMENTS.bind("find_known_states", namespace=namespaces, payment_id=payments)
    of_disputes = DISPUTES.bind("find_known_dispute_states", namespace=namespaces, dispute_id=disputes)
    rows = [*await connection.fetch(*of_payments), *await connection.fetch(*of_disputes)]
    return list(_first_of_each(states, {tuple(row) for row in rows}))


def _first_of_each(states: Sequence[EventFact], known: set[tuple[str, ...]]) -> Iterator[EventFact]:
    for event, fact in states:
        state = (event.namespace, fact.object if fact.kind in DISPUTE_STATES else event.resource, fact.kind)
        if state not in known:
            known.add(state)
            yield event, fact
