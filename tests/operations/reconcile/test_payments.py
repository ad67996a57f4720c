"""What a provider says about payments is compared with the books, where no events are listed."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from operations.reconcile.payments import Booked, find_difference
from tests.support.events import contract_event, stripe_event
from tests.support.reconciling import NOW, SINCE, Reconciler
from tests.support.stand_ins.listing import Entry, PaymentsApi

EVENT = contract_event("reconcile:pi_1:v1", "pi_1")
CAPTURED = Fact("captured", 700, "EUR", "pi_1")
PAYMENT = {
    "payment_id": "pi_1", "currency": "EUR", "authorized": True, "succeeded": True, "failed": False, "canceled": False,
    "capture_failed": False, "captured": 700, "refunds_total": 0, "refunds_made": 0, "refunds_failed": 0,
}  # fmt: skip


def transfer(movement: str, amount: int = 700, currency: str = "EUR", payment: str = "pi_1") -> dict[str, Any]:
    return {movement: {"movement": movement, "amount": amount, "currency": currency, "payment_id": payment}}


def booked(*, payment: dict[str, Any] | None = None, dispute: dict[str, Any] | None = None, **transfers: Any) -> Booked:
    return Booked(
        transfers, {"pi_1": PAYMENT | (payment or {})}, {"dp_1": dispute} if dispute else {}
    )  # fmt: skip


WHOLE_OR_PARTS = Fact("captured", 700, "EUR", "pi_1", either_whole_or_parts=True)
PART = Fact("captured", 300, "EUR", "part_2", either_whole_or_parts=True)
OPEN = {"dispute_id": "dp_1", "opened": True, "won": False, "lost": False}

AGREE: list[tuple[Fact, Booked]] = [
    (CAPTURED, booked(**transfer("capture:pi_1"))),
    (Fact("captured", 0, "EUR", "pi_1"), booked()),
    (Fact("captured", 700, "EUR", "pi_1", held_by="merchant"), booked()),
    (WHOLE_OR_PARTS, booked(**transfer("capture:part_1", 300), **transfer("capture:part_2", 400))),
    (Fact("refunded", 5, "EUR", "re_1"), booked(**transfer("refund:re_1", 5))),
    (Fact("refunded_total", 5, "EUR"), booked(payment={"refunds_made": 6})),
    (Fact("refunded_total", 5, "EUR"), booked(payment={"refunds_made": 6, "refunds_failed": 1})),
    (Fact("refunded_total", 5, "EUR"), booked(payment={"refunds_total": 5, "refunds_made": 6, "refunds_failed": 6})),
    (Fact("authorized", 700, "EUR"), booked(payment={"authorized": False})),
    (Fact("pending", 700, "EUR"), booked()),
    (Fact("failed", 700, "EUR"), booked()),
    (Fact("canceled", 700, "EUR"), booked(payment={"canceled": True})),
    (Fact("dispute_opened", 700, "EUR", "dp_1"), booked(dispute=OPEN | {"opened": False, "lost": True})),
    (Fact("dispute_lost", 700, "EUR", "dp_1"), booked(dispute=OPEN | {"lost": True})),
    (Fact("funds_withdrawn", 7, "EUR", "tr_1", "dp_1"), booked(**transfer("dispute:tr_1", 7))),
]

DIFFER: list[tuple[Fact, Booked, str, str]] = [
    (CAPTURED, Booked(), "missing", "captured pi_1: 700 EUR"),
    (CAPTURED, booked(**transfer("capture:pi_1", 699)), "different", "captured pi_1 700 EUR"),
    (CAPTURED, booked(**transfer("capture:pi_1", currency="USD")), "different", "captured pi_1 700 EUR"),
    (CAPTURED, booked(**transfer("capture:pi_1", payment="pi_2")), "different", "captured pi_1 of payment pi_1"),
    (WHOLE_OR_PARTS, booked(payment={"captured": 699}), "missing", "captured pi_1: 700 EUR"),
    (WHOLE_OR_PARTS, booked(payment={"currency": "USD"}), "missing", "captured pi_1: 700 EUR"),
    (PART, booked(**transfer("capture:part_1", 400)), "missing", "captured part_2: 300 EUR"),
    (PART, booked(**transfer("capture:pi_1")), "missing", "captured part_2: 300 EUR"),
    (Fact("refunded", 5, "EUR", "re_1"), booked(), "missing", "refunded re_1: 5 EUR"),
    (Fact("refunded_total", 5, "EUR"), booked(payment={"refunds_total": 4}), "missing", "refunded_total: 5 EUR"),
    (
        Fact("refunded_total", 5, "EUR"),
        booked(payment={"refunds_made": 6, "refunds_failed": 6}),
        "missing",
        "refunded_total: 5 EUR",
    ),
    (Fact("pending", 700, "EUR"), Booked(), "missing", "pending: 700 EUR"),
    (Fact("canceled", 700, "EUR"), booked(), "missing", "canceled: 700 EUR"),
    (Fact("failed", 1, "EUR"), booked(payment={"succeeded": False}), "missing", "failed: 1 EUR"),
    (Fact("dispute_won", 7, "EUR", "dp_1"), booked(dispute=OPEN), "missing", "dispute_won dp_1: 7 EUR"),
    (Fact("dispute_opened", 7, "EUR", "dp_1"), booked(), "missing", "dispute_opened dp_1: 7 EUR"),
]


@pytest.mark.parametrize(("fact", "known"), AGREE)
def test_what_the_books_have_is_no_difference(fact: Fact, known: Booked) -> None:
    assert find_difference(EVENT, [fact], known) is None


@pytest.mark.parametrize(("fact", "known", "kind", "listed"), DIFFER)
def test_what_the_books_lack_or_have_otherwise_is_named(fact: Fact, known: Booked, kind: str, listed: str) -> None:
    found = find_difference(EVENT, [fact], known)
    assert found
    assert (found.kind, found.listed, found.event_id, found.resource) == (kind, listed, EVENT.event_id, "pi_1")


def payment(number: int, version: str = "v1", **changes: Any) -> Event:
    """Return a listed payment: an object of which the same facts are read as of an event."""
    name = f"pi_{number}"
    body = json.dumps(stripe_event(f"reconcile:{name}:{version}", name, **changes)).encode()
    return contract_event(f"reconcile:{name}:{version}", name, occurred_at=SINCE, body=body)


@pytest.fixture
def of_payments(reconciler: Reconciler) -> Reconciler:
    reconciler.kind = PaymentsApi
    return reconciler


CAPTURES = "SELECT payment_id, amount FROM transfers ORDER BY payment_id"


async def test_a_payment_that_the_books_do_not_have_is_published_once(of_payments: Reconciler) -> None:
    of_payments.listing.add(payment(1), payment(2))
    await of_payments.arrive(contract_event("evt_1", "pi_1"))
    report = await of_payments.run(repair=True)
    assert (report.counts.listed, report.counts.missing, report.counts.repaired) == (2, 1, 1)
    await of_payments.drain()
    assert await of_payments.workers.rows(CAPTURES) == [("pi_1", 1999), ("pi_2", 1999)]
    assert not (await of_payments.run(repair=True)).counts.differs
    assert await of_payments.findings() == []
    await of_payments.arrive(contract_event("evt_2", "pi_2"))  # its webhook, after all
    assert await of_payments.workers.rows(CAPTURES) == [("pi_1", 1999), ("pi_2", 1999)]
    await of_payments.workers.assert_all_acked()


async def test_a_payment_of_another_amount_is_reported_and_not_published(of_payments: Reconciler) -> None:
    of_payments.listing.add(payment(1, amount=5))
    await of_payments.arrive(contract_event("evt_1", "pi_1"))
    report = await of_payments.run(repair=True)
    assert (report.counts.different, report.counts.repaired) == (1, 0)
    (finding,) = await of_payments.findings()
    assert (finding.recorded, finding.listed) == ("captured pi_1 1999 EUR", "captured pi_1 5 EUR")


async def test_a_finding_about_a_payment_is_closed_once_the_books_have_it_in_another_version(
    of_payments: Reconciler,
) -> None:
    of_payments.listing.add(payment(1))
    await of_payments.run()
    assert len(await of_payments.findings()) == 1
    await of_payments.arrive(contract_event("evt_1", "pi_1"))
    of_payments.listing.entries = [Entry(payment(1, "v2"))]
    await of_payments.run()
    assert await of_payments.findings() == []


async def test_what_is_listed_in_several_windows_is_one_thing(of_payments: Reconciler) -> None:
    """As a dispute is, which is read again for months, or what changed in each of them."""
    of_payments.listing.add(replace(payment(1), occurred_at=None))
    report = await of_payments.run(since=NOW - timedelta(days=4))
    assert (report.counts.listed, report.counts.missing) == (1, 1)


async def test_what_cannot_be_read_is_counted_and_ends_nothing(of_payments: Reconciler) -> None:
    unreadable = contract_event("reconcile:pi_8:v1", "pi_8", occurred_at=SINCE, body=b'{"id": 1}')
    of_payments.listing.add(unreadable, payment(1))
    report = await of_payments.run(repair=True)
    assert (report.counts.listed, report.counts.missing, report.counts.repaired) == (2, 2, 1)
    assert report.notes == ["1 of them cannot be read, which no repair changes: their findings say why"]
    assert report.complete_until == SINCE
