"""Facts about one payment, in any order, with any repeats and batches: the rows, the transfers and what handlers hear
are the same. Disputes with several withdrawals and currencies, adjusted and undone captures, cash, several accounts.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.accounts import Capture, PostingRules
from contract.event import Event
from contract.facts import ABOUT_THE_PAYMENT, DISPUTE_STATES, KINDS, Fact
from ledger.posting import post
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
            facts = []
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


# Any facts.

MONEY = st.sampled_from([100, 250, 400, 1000])


@st.composite
def dispute_facts(draw: st.DrawFn) -> list[tuple[Fact, int]]:
    """Draw what is said about up to two disputes: claims, outcomes, and money that moved, each in some currency."""
    drawn: list[tuple[Fact, int]] = []
    for dispute in draw(st.lists(st.sampled_from(["d1", "d2"]), unique=True, max_size=2)):
        claim, money = draw(st.sampled_from(["EUR", "USD"])), draw(st.sampled_from(["EUR", "USD"]))
        claimed = draw(MONEY)
        for kind in draw(st.lists(st.sampled_from(["opened", "won", "lost"]), max_size=4)):
            fact = Fact(f"dispute_{kind}", claimed, claim, dispute)  # type: ignore[arg-type]
            drawn.append((fact, draw(st.integers(0, 3))))
        for number in range(draw(st.integers(0, 3))):
            drawn += [(Fact("funds_withdrawn", draw(MONEY), money, f"{dispute}w{number}", dispute), 0)]
        for number in range(draw(st.integers(0, 2))):
            drawn += [(Fact("funds_reinstated", draw(MONEY), money, f"{dispute}r{number}", dispute), 0)]
        if draw(st.booleans()):
            other = Fact("dispute_opened", claimed, claim, f"{dispute}/p2", payment="p2")
            drawn.append((other, 0))
    return drawn


@st.composite
def stories(draw: st.DrawFn) -> tuple[Capture, list[Report]]:
    """Draw the facts of a payment, and spread them over events."""
    capture: Capture = draw(st.sampled_from(["manual", "automatic"]))
    total = draw(MONEY)
    facts: list[tuple[Fact, int]] = [(Fact("authorized", total, "EUR"), 0)] if draw(st.booleans()) else []
    for number in range(draw(st.integers(0, 2))):
        facts += [(Fact("authorized", draw(MONEY), "EUR", f"j{number}"), draw(st.integers(0, 3)))]
    for number in range(draw(st.integers(0, 2))):
        kinds = draw(st.lists(st.sampled_from(["captured", "capture_failed"]), min_size=1, max_size=2))
        amount = draw(MONEY)
        facts += [(Fact(kind, amount, "EUR", f"c{number}"), 0) for kind in kinds]  # type: ignore[arg-type]
    if draw(st.booleans()):
        facts.append((Fact("canceled", total, "EUR"), draw(st.integers(0, 3))))
    if draw(st.booleans()):
        facts.append((Fact("captured", draw(MONEY), "EUR", "cash", held_by="merchant"), 0))
    facts += draw(dispute_facts())
    reported = [
        Report(number, (fact,), day, draw(st.sampled_from(["", "acct_1"]))) for number, (fact, day) in enumerate(facts)
    ]
    return capture, reported


@st.composite
def ways(draw: st.DrawFn, reported: Sequence[Report]) -> list[list[Report]]:
    """Draw an order, with repeats, in batches."""
    order = draw(st.permutations([*reported, *draw(st.lists(st.sampled_from(reported), max_size=3))]))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(order)), max_size=4))), len(order)]
    return [list(order[start:end]) for start, end in pairwise(cuts) if start < end]


@settings(
    deadline=None, max_examples=1500,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
async def test_the_books_are_a_function_of_the_set_of_facts(
    connection: asyncpg.Connection, data: st.DataObject
) -> None:  # fmt: skip
    capture, reported = data.draw(stories().filter(lambda story: len(story[1]) > 0))
    async with applied(connection, data.draw(ways(reported)), capture) as first:
        assert first.findings == []
    async with applied(connection, data.draw(ways(reported)), capture) as second:
        assert second == first
    transfers = [each for each in first.happened if each[0] in {"captured", "capture_failed", "funds_withdrawn"}]
    assert len(set(transfers)) == len(transfers)


# Stories with their ends. Each is posted forwards, backwards, one by one and at once.

AUTHORIZED = Fact("authorized", 1000, "EUR")
CAPTURED = Fact("captured", 1000, "EUR", "c1")


def withdrawn(amount: int, name: str = "d1", currency: str = "EUR", dispute: str = "d1") -> Fact:
    return Fact("funds_withdrawn", amount, currency, name, dispute)


def reinstated(amount: int, name: str = "d1", currency: str = "EUR", dispute: str = "d1") -> Fact:
    return Fact("funds_reinstated", amount, currency, name, dispute)


def said(kind: str, amount: int = 1000, currency: str = "EUR", dispute: str = "d1") -> Fact:
    return Fact(f"dispute_{kind}", amount, currency, dispute)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class End:
    """The expected end: the payment's status, captured and disputed; the disputes' statuses; and the balances."""

    status: str
    captured: int
    disputed: int
    disputes: dict[str, str]
    balances: dict[tuple[str, str], int]


STORIES: dict[str, tuple[Capture, list[Report], End]] = {
    "partly won: the refunded part comes back": (
        "manual",
        reports(CAPTURED, Fact("refunded", 400, "EUR", "r1"), said("opened"), withdrawn(1000), said("lost"),
                reinstated(400)),
        End("charged_back", 1000, 600, {"d1": "partly_lost"}, {("merchant", "EUR"): 600, ("disputes", "EUR"): -600}),
    ),
    "lost, then won": (
        "manual",
        reports(CAPTURED, said("opened"), withdrawn(1000), (said("lost"), 1), (said("won"), 2), reinstated(1000)),
        End("succeeded", 1000, 0, {"d1": "won"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): 0}),
    ),
    "lost, then won, and nobody says what moved": (
        "manual",
        reports(CAPTURED, said("opened"), (said("lost"), 1), (said("won"), 2)),
        End("succeeded", 1000, 0, {"d1": "won"}, {("merchant", "EUR"): 1000}),
    ),
    "won, then lost, and nobody says what moved": (
        "manual",
        reports(CAPTURED, said("opened"), (said("won"), 1), (said("lost"), 2)),
        End("charged_back", 1000, 1000, {"d1": "lost"}, {("merchant", "EUR"): 1000}),
    ),
    "lost without a word about evidence": (
        "manual",
        reports(CAPTURED, Fact("refunded", 1000, "EUR", "r1"), said("opened"), said("lost"), withdrawn(1000)),
        End("charged_back", 1000, 1000, {"d1": "lost"}, {("merchant", "EUR"): 0, ("disputes", "EUR"): -1000}),
    ),
    "taken twice under one id": (
        "manual",
        reports(CAPTURED, said("opened"), withdrawn(1000), reinstated(1000), withdrawn(1000, "d1:2"), said("lost")),
        End("charged_back", 1000, 1000, {"d1": "lost"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -1000}),
    ),
    "charged back again, under the transaction's name": (
        "manual",
        reports(CAPTURED, said("opened"), withdrawn(1000, "adj_a"), said("won"), reinstated(1000, "adj_b"),
                withdrawn(1000, "adj_c")),
        End("disputed", 1000, 1000, {"d1": "open"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -1000}),
    ),
    "a second dispute of the same payment": (
        "manual",
        reports(CAPTURED, said("opened", 600), withdrawn(600), said("won", 600), reinstated(600),
                said("opened", 300, dispute="d2"), withdrawn(300, "d2", dispute="d2")),
        End("disputed", 1000, 300, {"d1": "won", "d2": "open"},
            {("merchant", "EUR"): 1000, ("disputes", "EUR"): -300}),
    ),
    "in another currency than the payment": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(1100, currency="USD"), said("lost", 1100, "USD")),
        End("charged_back", 1000, 1100, {"d1": "lost"}, {("merchant", "EUR"): 1000, ("disputes", "USD"): -1100}),
    ),
    "claimed in one currency, withdrawn in another": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(950), said("lost", 1100, "USD")),
        End("charged_back", 1000, 950, {"d1": "lost"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -950}),
    ),
    "automatic: canceled before the capture": (
        "automatic",
        reports(AUTHORIZED, Fact("canceled", 1000, "EUR")),
        End("canceled", 0, 0, {}, {("merchant", "EUR"): 0}),
    ),
    "automatic: captured in part by hand": (
        "automatic",
        reports(AUTHORIZED, Fact("captured", 600, "EUR", "c1")),
        End("succeeded", 600, 0, {}, {("merchant", "EUR"): 600}),
    ),
    "automatic: captured in part, and the rest expired": (
        "automatic",
        reports(AUTHORIZED, Fact("captured", 600, "EUR", "c1"), Fact("canceled", 400, "EUR")),
        End("succeeded", 600, 0, {}, {("merchant", "EUR"): 600}),
    ),
    "automatic: captured twice in part": (
        "automatic",
        reports(AUTHORIZED, Fact("captured", 600, "EUR", "c1"), Fact("captured", 300, "EUR", "c2")),
        End("succeeded", 900, 0, {}, {("merchant", "EUR"): 900}),
    ),
    "automatic: adjusted at the same time": (
        "automatic",
        reports(AUTHORIZED, Fact("authorized", 1500, "EUR", "j1")),
        End("succeeded", 1500, 0, {}, {("merchant", "EUR"): 1500}),
    ),
    "automatic: adjusted up and then down": (
        "automatic",
        reports(AUTHORIZED, (Fact("authorized", 1500, "EUR", "j1"), 1), (Fact("authorized", 700, "EUR", "j0"), 2)),
        End("succeeded", 700, 0, {}, {("merchant", "EUR"): 700}),
    ),
    "automatic: the capture failed": (
        "automatic",
        reports(AUTHORIZED, Fact("capture_failed", 1000, "EUR", "c1")),
        End("failed", 0, 0, {}, {("merchant", "EUR"): 0}),
    ),
    "automatic: only captures are reported": (
        "automatic",
        reports(CAPTURED),
        End("succeeded", 1000, 0, {}, {("merchant", "EUR"): 1000}),
    ),
    "cash: the provider never held it": (
        "manual",
        reports(Fact("authorized", 1000, "EUR"), Fact("captured", 1000, "EUR", "p1", held_by="merchant")),
        End("succeeded", 1000, 0, {}, {}),
    ),
    "cash, refunded in part": (
        "manual",
        reports(Fact("captured", 1000, "EUR", "p1", held_by="merchant"), Fact("refunded_total", 300, "EUR"),
                Fact("refunded", 300, "EUR", "r1", held_by="merchant")),
        End("partially_refunded", 1000, 0, {}, {}),
    ),
    "a refund that was counted in a total is rejected": (
        "manual",
        reports(CAPTURED, Fact("refunded_total", 1000, "EUR"), Fact("refund_failed", 1000, "EUR", "r1")),
        End("succeeded", 1000, 0, {}, {("merchant", "EUR"): 1000}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_ends_as_expected_in_any_order(connection: asyncpg.Connection, name: str) -> None:
    capture, reported, end = STORIES[name]
    ways_ = [[reported], [reported[::-1]], [[each] for each in reported], [[each] for each in reported[::-1]]]
    seen = []
    for way in ways_:
        async with applied(connection, way, capture) as after:
            seen.append(after)
            assert after.findings == []
            ((payment_id, status, _, _, captured, _, _, disputed, *_),) = after.payments
            assert (payment_id, status, captured, disputed) == ("p1", end.status, end.captured, end.disputed)
            assert {row["dispute_id"]: row["status"] for row in await connection.fetch(DISPUTES)} == end.disputes
            found = {(account, currency): balance for account, currency, balance in after.balances}
            assert {key: found[key] for key in end.balances} == end.balances
            assert bool(found) == bool(end.balances)
    assert seen[1:] == seen[:-1]


async def test_a_dispute_over_several_payments_disputes_each(connection: asyncpg.Connection) -> None:
    facts = (said("opened", 400), Fact("dispute_opened", 700, "EUR", "d1/p2", payment="p2"))
    other = Report(2, (Fact("captured", 700, "EUR", "c2"),), payment="p2")
    for way in ([[Report(1, facts)], [other]], [[other, Report(1, facts)]]):
        async with applied(connection, way) as after:
            assert [(row[0], row[1], row[7]) for row in after.payments] == [
                ("p1", "disputed", 400), ("p2", "disputed", 700)
            ]  # fmt: skip
            assert after.findings == []
