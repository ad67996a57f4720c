"""Booking facts in an open transaction: payments, transfers and disputes, a few statements per batch of events."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import TypeAlias

from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import Fact, Kind
from ledger.conflicts import record_conflicts, record_currency_conflicts
from ledger.outcome import EventFact, Outcome
from ledger.transfers import (
    DISPUTE_KINDS,
    TRANSFER_RULES,
    ConsistentBatch,
    partition_conflicting,
    payment_updates,
)
from sql import columns, load
from sql.connect import Connection

PAYMENTS = load("payments")
DISPUTES = load("disputes")

EventFacts: TypeAlias = "tuple[Event, Sequence[Fact]]"
"""An event, and all its facts."""

_UPDATE_COLUMNS = (
    "currency", "amount", "refunds_total", "authorized", "succeeded", "failed", "canceled", "capture_failed",
    "transfer_key", "transfer_amount", "adds_to", "debit_account", "credit_account",
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
    await merge_disputes(connection, batch)
    return outcome


async def book(
    connection: Connection, batch: ConsistentBatch, wanted: AbstractSet[Kind], outcome: Outcome
) -> None:  # fmt: skip
    """Book a batch with one statement; record what contradicts earlier batches. Add the result to `outcome`."""
    updates = batch.updates
    events = [update.event for update in updates]
    booked_keys, is_contradicted = await connection.fetchrow(
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


async def merge_disputes(connection: Connection, batch: Sequence[EventFacts]) -> None:
    """Merge the facts about disputes into `disputes`, and sum up their payments' disputed amounts again."""
    disputed = [(event, fact) for event, facts in batch for fact in facts if fact.kind in DISPUTE_KINDS]
    if not disputed:
        return
    facts = [fact for _, fact in disputed]
    payments = {
        "namespace": [event.namespace for event, _ in disputed],
        "payment_id": [event.resource for event, _ in disputed],
    }
    disputes = columns(facts, "currency", "amount", "kind") | {"dispute_id": [fact.object for fact in facts]}
    await connection.execute(*DISPUTES.bind("merge_disputes", **payments, **disputes))
    await connection.execute(*DISPUTES.bind("recompute_disputed", **payments))


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
        state = (event.namespace, fact.object or event.resource, fact.kind)
        if state not in known:
            known.add(state)
            yield event, fact
