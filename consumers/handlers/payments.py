"""The built-in projection: what events tell about payments, in `payments` and `transfers`. It uses the guests' door."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from consumers.handlers import Connection, Handlers, Outcome, Reject
from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import MoneyError
from ledger.conflicts import hold_back, settle_contradicted, settle_unbooked
from ledger.transfers import DISPUTE_KINDS, MOVES, Lot, lots_of, rows_of, told
from providers import FACT_EXTRACTORS
from providers.facts import UnreadableError
from sql import columns, load

PAYMENTS = load("payments")
DISPUTES = load("disputes")

_USUAL = PostingRules()

Told = tuple[Event, list[Fact]]


class Payments:
    """Joins what a batch tells into `payments` and `disputes`, and books each movement of money once.

    `posting_rules`: the settings of sources, by their names; the usual ones hold for all others.
    """

    def __init__(self, posting_rules: Mapping[str, PostingRules]) -> None:
        self._posting_rules = posting_rules

    async def __call__(self, connection: Connection, events: Sequence[Event], wanted: AbstractSet[Kind]) -> Outcome:
        """Applies a batch. Of the kinds that are wanted, the outcome tells what happened now, and never before.

        Raises Reject for money that cannot be booked, and pydantic's ValidationError.
        """
        outcome = Outcome()
        batch = [(event, facts) for event in events if (facts := self._read(event))]
        trusted = [each for each in batch if self._is_trusted(each[0])]
        for event, facts in batch:
            if not self._is_trusted(event):
                await hold_back(connection, event, facts, outcome)
        if not trusted:
            return outcome
        outcome.happened.extend(await _new_states(connection, trusted, wanted - MOVES.keys()))
        for lot in lots_of(chain.from_iterable(rows_of(*each, self._rules(each[0])) for each in trusted)):
            await book(connection, lot, wanted, outcome)
        await _merge_disputes(connection, trusted)
        return outcome

    def _rules(self, event: Event) -> PostingRules:
        return self._posting_rules.get(event.source, _USUAL)

    def _is_trusted(self, event: Event) -> bool:
        return event.signed == "body" or self._rules(event).trust == "all"

    def _read(self, event: Event) -> list[Fact]:
        read = FACT_EXTRACTORS.get(event.provider)
        try:
            facts = read(event) if read else ()
        except (MoneyError, UnreadableError) as error:
            raise Reject(str(error)) from error
        return list(told(facts, event, self._rules(event))) if facts else []


async def book(connection: Connection, lot: Lot, wanted: AbstractSet[Kind], outcome: Outcome) -> None:
    """One statement, unless something contradicts."""
    rows = lot.rows
    booked, is_contradicted = await connection.fetchrow(
        PAYMENTS["book_facts"],
        [row.event.namespace for row in rows],
        [row.event.resource for row in rows],
        [row.event.provider for row in rows],
        [row.currency for row in rows],
        [row.amount for row in rows],
        [row.refunds_total for row in rows],
        [row.flags for row in rows],
        [row.event.occurred_at for row in rows],
        [row.movement for row in rows],
        [row.stakes for row in rows],
        [row.fact.amount if row.fact else 0 for row in rows],
        [row.debit for row in rows],
        [row.credit for row in rows],
        [row.event.event_id for row in rows],
    )
    ours = frozenset(booked or ())
    if wanted:
        outcome.happened.extend(
            (row.event, row.fact) for row in rows if row.fact and row.fact.kind in wanted and row.key in ours
        )
    if unbooked := [row for row in rows if row.movement and row.key not in ours]:
        await settle_unbooked(connection, unbooked, outcome)
    if is_contradicted:
        await settle_contradicted(connection, rows, outcome)


async def _merge_disputes(connection: Connection, batch: Sequence[Told]) -> None:
    disputed = [(event, fact) for event, facts in batch for fact in facts if fact.kind in DISPUTE_KINDS]
    if not disputed:
        return
    payments = {
        "namespace": [event.namespace for event, _ in disputed], "payment_id": [event.resource for event, _ in disputed]
    }  # fmt: skip
    facts = [fact for _, fact in disputed]
    await connection.execute(
        *DISPUTES.bind(
            "merge_disputes",
            **payments,
            **columns(facts, "currency", "amount", "kind"),
            dispute_id=[fact.object for fact in facts],
        )
    )
    await connection.execute(*DISPUTES.bind("restate_disputed", **payments))


async def _new_states(
    connection: Connection, batch: Sequence[Told], wanted: AbstractSet[Kind]
) -> list[tuple[Event, Fact]]:
    """What a batch tells of states that payments and disputes are in now and were not before, each once."""
    states = [(event, fact) for event, facts in batch for fact in facts if fact.kind in wanted]
    if not states:
        return []
    namespaces = [event.namespace for event, _ in states]
    payments, disputes = [event.resource for event, _ in states], [fact.object for _, fact in states]
    of_payments = PAYMENTS.bind("find_known_states", namespace=namespaces, payment_id=payments)
    of_disputes = DISPUTES.bind("find_known_dispute_states", namespace=namespaces, dispute_id=disputes)
    rows = [*await connection.fetch(*of_payments), *await connection.fetch(*of_disputes)]
    known = {tuple(row) for row in rows}
    return list(_first_of_each(states, known))


def _first_of_each(states: Sequence[tuple[Event, Fact]], known: set[tuple[str, ...]]) -> Iterator[tuple[Event, Fact]]:
    for event, fact in states:
        state = (event.namespace, fact.object or event.resource, fact.kind)
        if state not in known:
            known.add(state)
            yield event, fact


def builtin(posting_rules: Mapping[str, PostingRules]) -> Handlers:
    """The built-in handlers, for these settings of sources."""
    return Handlers(Payments(posting_rules))


HANDLERS = builtin({})
"""The built-in handlers where no source has settings of its own."""
