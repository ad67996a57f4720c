"""Paystack: hundredths in every currency, holds, refunds named by their reference, disputes by their outcome."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.facts import IncompleteError
from providers.paystack import facts as paystack
from tests.support.cases.base import NOW

CHARGE: dict[str, Any] = {"id": 1, "reference": "ref_1", "amount": 5000, "currency": "NGN", "status": "success"}
REFUND: dict[str, Any] = {
    "transaction_reference": "ref_1",
    "refund_reference": "r_1",
    "amount": "900",
    "currency": "NGN",
}
DISPUTE: dict[str, Any] = {"id": 7, "refund_amount": 4000, "currency": "NGN", "transaction": CHARGE}


def read(type_: str, data: object) -> Sequence[Fact]:
    body = json.dumps({"event": type_, "data": data}).encode()
    return paystack.extract_facts(Event("p", "p", "paystack", "e", type_, "ref_1", NOW, NOW, "body", body))


def charged(amount: object, currency: str = "NGN") -> Sequence[Fact]:
    return read("charge.success", {**CHARGE, "amount": amount, "currency": currency})


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        (5000, "NGN", 5000),
        ("5000", "GHS", 5000),
        (5000, "XOF", 50),
        (120000, "RWF", 1200),
        (0, "ZAR", 0),
        (5, "KES", 5),
    ],
)
def test_amounts_are_hundredths_in_every_currency(amount: object, currency: str, minor: int) -> None:
    assert list(charged(amount, currency)) == [Fact("captured", minor, currency, "ref_1")]


@pytest.mark.parametrize(("amount", "currency"), [(5050, "XOF"), (1, "RWF"), (5000, "XYZ")])
def test_a_part_of_a_minor_unit_is_refused(amount: int, currency: str) -> None:
    with pytest.raises(MoneyError):
        charged(amount, currency)


@pytest.mark.parametrize("amount", [50.0, 50.5, -1, "-1", "50.00", "", True, "9" * 19, 10**40, "\u0665\u0660"])
def test_an_amount_that_paystack_would_not_write_is_refused(amount: object) -> None:
    for type_, data in {"charge.success": CHARGE, "refund.processed": REFUND, "refund.failed": REFUND}.items():
        with pytest.raises(ValidationError):
            read(type_, {**data, "amount": amount})


@pytest.mark.parametrize("asked", [None, 0, 4000, 5000])
def test_the_requested_amount_is_reported_only_where_less_was_paid(asked: int | None) -> None:
    assert [fact.kind for fact in read("charge.success", {**CHARGE, "requested_amount": asked})] == ["captured"]


def test_a_partial_debit_reports_the_requested_amount() -> None:
    facts = list(read("charge.success", {**CHARGE, "requested_amount": 8000}))
    assert facts == [Fact("authorized", 8000, "NGN"), Fact("captured", 5000, "NGN", "ref_1")]


@pytest.mark.parametrize("type_", ["refund.pending", "refund.processing", "refund.needs-attention"])
def test_a_refund_in_progress_has_moved_nothing(type_: str) -> None:
    assert list(read(type_, {**REFUND, "refund_reference": None})) == []


@pytest.mark.parametrize(("type_", "kind"), [("refund.processed", "refunded"), ("refund.failed", "refund_failed")])
@pytest.mark.parametrize("amount", [900, "900"])
def test_a_refund_is_named_by_its_reference(type_: str, kind: Any, amount: object) -> None:
    assert list(read(type_, {**REFUND, "amount": amount})) == [Fact(kind, 900, "NGN", "r_1")]


@pytest.mark.parametrize("type_", ["refund.processed", "refund.failed"])
@pytest.mark.parametrize("reference", ["", True, {}])
def test_a_reference_that_is_none_is_refused(type_: str, reference: object) -> None:
    with pytest.raises(ValidationError):
        read(type_, {**REFUND, "refund_reference": reference})


def test_a_refund_that_was_never_processed_brings_nothing_back() -> None:
    assert list(read("refund.failed", {**REFUND, "refund_reference": None})) == []
    with pytest.raises(IncompleteError, match="no reference"):
        read("refund.processed", {**REFUND, "refund_reference": None})


@pytest.mark.parametrize("name", ["amount", "currency", "reference"])
@pytest.mark.parametrize("change", ["absent", "null"])
def test_a_charge_that_leaves_out_what_money_needs_is_incomplete(name: str, change: str) -> None:
    """Paystack's own sample of a split payment has no currency."""
    charge = {key: value for key, value in CHARGE.items() if key != name} | ({name: None} if change == "null" else {})
    with pytest.raises(IncompleteError, match=name):
        read("charge.success", charge)


@pytest.mark.parametrize(
    ("resolution", "kind"),
    [
        ("merchant-accepted", "dispute_lost"),
        ("auto-accepted", "dispute_lost"),
        ("declined", "dispute_won"),
        ("something-new", None),
        (None, None),
    ],
)
def test_a_dispute_ends_by_its_resolution_and_withdraws_nothing(resolution: str | None, kind: Any) -> None:
    """The refund that pays it has events of its own."""
    facts = list(read("charge.dispute.resolve", {**DISPUTE, "resolution": resolution}))
    assert facts == ([Fact(kind, 4000, "NGN", "7")] if kind else [])


def test_a_dispute_without_an_amount_is_about_the_whole_transaction() -> None:
    facts = read("charge.dispute.create", {**DISPUTE, "refund_amount": None, "currency": None})
    assert list(facts) == [Fact("dispute_opened", 5000, "NGN", "7")]


@pytest.mark.parametrize("transaction", [None, [], {}, {"amount": 5000}, {"currency": "NGN"}])
def test_a_dispute_without_any_amount_is_incomplete(transaction: object) -> None:
    with pytest.raises(IncompleteError):
        read("charge.dispute.create", {"id": 7, "transaction": transaction})


HELD = Fact("authorized", 1000, "ZAR")


@pytest.mark.parametrize(
    ("type_", "changes", "facts"),
    [
        ("reserve.success", {}, [HELD]),
        ("capture.success", {"captured_amount": "1000"}, [HELD, Fact("captured", 1000, "ZAR", "pre1")]),
        ("capture.success", {"captured_amount": 700}, [HELD, Fact("captured", 700, "ZAR", "pre1")]),
        ("capture.success", {"captured_amount": None}, [HELD, Fact("captured", 1000, "ZAR", "pre1")]),
        ("capture.success", {"transaction": []}, [HELD, Fact("captured", 1000, "ZAR", "pre1")]),
        ("capture.failed", {"captured_amount": "1000"}, [HELD]),
        ("release.failed", {}, [HELD]),
        ("release.success", {}, [Fact("canceled", 1000, "ZAR")]),
    ],
)
def test_what_is_held_is_captured_or_released(type_: str, changes: dict[str, Any], facts: list[Fact]) -> None:
    hold = {"id": 3099, "reference": "pre1", "amount": 1000, "currency": "ZAR", "transaction_id": None, **changes}
    assert list(read(f"preauthorization.{type_}", hold)) == facts


def test_a_captured_hold_and_its_charge_report_one_capture() -> None:
    hold = {"reference": "pre1", "amount": 1000, "currency": "ZAR", "transaction": {"reference": "pre1"}}
    _, captured = read("preauthorization.capture.success", hold)
    assert list(read("charge.success", {**CHARGE, "reference": "pre1", "amount": 1000, "currency": "ZAR"})) == [
        captured
    ]


@pytest.mark.parametrize(
    "type_",
    ["transfer.success", "transfer.reversed", "invoice.update", "paymentrequest.success", "charge.dispute.remind"],
)
def test_events_without_a_payment_or_anything_new_move_nothing(type_: str) -> None:
    assert list(read(type_, {**CHARGE, **DISPUTE})) == []


def test_a_hold_that_another_transaction_captured_is_not_held_any_more() -> None:
    hold = {"reference": "pre1", "amount": 1000, "currency": "ZAR", "captured_amount": "700",
            "transaction": {"reference": "trx1"}}  # fmt: skip
    assert list(read("preauthorization.capture.success", hold)) == [
        HELD,
        Fact("captured", 700, "ZAR", "trx1"),
        replace(HELD, payment="pre1"),
        Fact("captured", 0, "ZAR", "pre1", payment="pre1"),
    ]
