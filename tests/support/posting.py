"""Posting facts as a worker does, in any way, and the rows that they leave."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from contract.accounts import Capture, PostingRules
from contract.event import Event
from contract.facts import ABOUT_THE_PAYMENT, DISPUTE_STATES, KINDS, Fact
from ledger.posting import EventFacts, post
from ledger.transfers import by_payment, with_implied_facts
from sql import load
from tests.support.events import contract_event

INVARIANTS = load("invariants")
DAY = datetime(2026, 9, 1, tzinfo=UTC)

PAYMENTS = """
    SELECT payment_id, status, currency, amount, captured, captured_outside, refunded, disputed, disputed_currency,
        charged_back, account, currency_assumed, authorized, succeeded, canceled, capture_failed, contradicted,
        first_occurred_at, last_occurred_at
    FROM payments ORDER BY payment_id
"""
DISPUTES = "SELECT * FROM disputes ORDER BY dispute_id"
TRANSFERS = """
    SELECT movement, payment_id, debit_account, credit_account, amount, currency, dispute_id FROM transfers
    ORDER BY movement
"""
BALANCES = "SELECT account, currency, balance FROM balances ORDER BY account, currency"

Rows = list[tuple[Any, ...]]
Happened = list[tuple[str, str, int, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """One event: its facts, the day on which the provider says they happened, and the account that it names."""

    number: int
    facts: tuple[Fact, ...]
    day: int = 0
    account: str = ""
    payment: str = "p1"

    @property
    def event(self) -> Event:
        occurred_at = DAY + timedelta(days=self.day)
        return contract_event(f"evt_{self.number}", self.payment, occurred_at=occurred_at, account=self.account)


def reports(*facts: Fact | tuple[Fact, int]) -> list[Report]:
    """Return an event for each fact, all of one day or of the day that is given with it."""
    pairs = [fact if isinstance(fact, tuple) else (fact, 0) for fact in facts]
    return [Report(number, (fact,), day) for number, (fact, day) in enumerate(pairs)]


CLAIM = """
    INSERT INTO events (
        namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, account
    )
    VALUES ($1, $2, 'stripe', 'stripe', $3, 't', $4, 'body', $5, now(), $6)
    ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class After:
    """The rows after all facts, and what handlers were called for."""

    payments: Rows
    disputes: Rows
    transfers: Rows
    balances: Rows
    happened: Happened
    findings: list[str]


@asynccontextmanager
async def applied(
    connection: asyncpg.Connection, batches: Sequence[Sequence[Report]], capture: Capture = "manual"
) -> AsyncIterator[After]:
    """Post batches as a worker does, and roll back at the end. Repeated events are posted again."""
    rules = PostingRules(capture=capture)
    happened: Happened = []
    transaction = connection.transaction()
    await transaction.start()
    try:
        for batch in batches:
            events = {report.number: report for report in batch}
            facts: list[EventFacts] = []
            for number, report in events.items():
                event = report.event
                await connection.execute(
                    CLAIM, event.namespace, event.event_id, f"{number}-1", event.resource, event.occurred_at,
                    event.account,
                )  # fmt: skip
                facts += by_payment(event, list(with_implied_facts(report.facts, event, rules)))
            outcome = await post(connection, facts, lambda _: rules, KINDS - {"pending", "refunded_total"})  # type: ignore[arg-type]
            assert not outcome.conflicts
            happened += [
                (fact.kind, event.resource, 0, "")  # the first report of a state is the one that is heard
                if fact.kind in ABOUT_THE_PAYMENT | DISPUTE_STATES
                else (fact.kind, event.resource, fact.amount, fact.object)
                for event, fact in outcome.happened
            ]
        rows = [
            [tuple(row) for row in await connection.fetch(query)] for query in (PAYMENTS, DISPUTES, TRANSFERS, BALANCES)
        ]
        findings = [name for name in INVARIANTS if await connection.fetch(INVARIANTS[name])]
        yield After(rows[0], rows[1], rows[2], rows[3], sorted(happened), findings)
    finally:
        await transaction.rollback()
