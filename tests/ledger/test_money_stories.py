"""Stories about money with their ends: each is posted forwards, backwards, one by one and at once."""

from dataclasses import dataclass, replace

import asyncpg
import pytest

from contract.accounts import Capture
from contract.facts import Fact
from tests.support.posting import DISPUTES, Report, applied, reports

AUTHORIZED = Fact("authorized", 1000, "EUR")
CAPTURED = Fact("captured", 1000, "EUR", "c1")
WHOLE = Fact("captured", 1000, "EUR", "p1", either_whole_or_parts=True)


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
    "won, and the exchange rate changed meanwhile": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(950), (said("won", 1100, "USD"), 1), reinstated(940)),
        End("succeeded", 1000, 0, {"d1": "won"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -10}),
    ),
    "won in a currency that the payment has not, with less back": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(1100, currency="USD"),
                reinstated(1090, currency="USD"), said("won", 1100, "USD")),
        End("succeeded", 1000, 0, {"d1": "won"}, {("merchant", "EUR"): 1000, ("disputes", "USD"): -10}),
    ),
    "won with less back, and all in one currency: a part is lost": (
        "manual",
        reports(CAPTURED, said("opened"), withdrawn(1000), said("won"), reinstated(940)),
        End("charged_back", 1000, 60, {"d1": "partly_lost"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -60}),
    ),
    "converted and lost, and a part came back": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(950), said("lost", 1100, "USD"), reinstated(300)),
        End("charged_back", 1000, 650, {"d1": "partly_lost"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -650}),
    ),
    "converted, won, and then taken again": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(950), (said("won", 1100, "USD"), 1), reinstated(960),
                withdrawn(940, "d1:2")),
        End("disputed", 1000, 930, {"d1": "open"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -930}),
    ),
    "converted, won, taken again, and lost": (
        "manual",
        reports(CAPTURED, said("opened", 1100, "USD"), withdrawn(950), (said("won", 1100, "USD"), 1), reinstated(960),
                withdrawn(940, "d1:2"), (said("lost", 1100, "USD"), 2)),
        End("charged_back", 1000, 930, {"d1": "lost"}, {("merchant", "EUR"): 1000, ("disputes", "EUR"): -930}),
    ),
    "captured whole, and then by a capture with an id: the same money": (
        "manual",
        reports(WHOLE, replace(WHOLE, object="c1")),
        End("succeeded", 1000, 0, {}, {("merchant", "EUR"): 1000}),
    ),
    "captured whole, and by two captures of parts": (
        "manual",
        reports(WHOLE, replace(WHOLE, amount=600, object="c1"), replace(WHOLE, amount=400, object="c2")),
        End("succeeded", 1000, 0, {}, {("merchant", "EUR"): 1000}),
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


@pytest.mark.parametrize("at_once", [True, False])
async def test_cash_that_an_earlier_release_booked_is_not_counted_again(
    connection: asyncpg.Connection, at_once: bool
) -> None:
    """Version 0.2 made a transfer of every capture, cash too."""
    booked, known = reports(
        Fact("captured", 1000, "EUR", "p1"), Fact("captured", 1000, "EUR", "p1", held_by="merchant")
    )
    later = Report(3, (Fact("captured", 1000, "EUR", "p1", held_by="merchant"), Fact("refunded_total", 1000, "EUR")))
    way = [[booked], [known, later]] if at_once else [[booked], [known], [later]]
    async with applied(connection, way) as after:
        assert [(row[1], row[4], row[5]) for row in after.payments] == [("refunded", 1000, 0)]
        assert after.findings == []
