"""Razorpay: one capture from whichever event, refunds by their status, disputes that take money when they are lost."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from providers.facts import IncompleteError
from providers.razorpay import facts as razorpay
from tests.support.cases.base import NOW

PAYMENT = {"id": "pay_1", "amount": 1000, "currency": "INR", "status": "captured", "captured": True}
REFUND = {"id": "rfnd_1", "amount": 400, "currency": "INR", "payment_id": "pay_1", "status": "processed"}
DISPUTE = {"id": "disp_1", "amount": 1000, "currency": "INR", "amount_deducted": 0, "status": "open"}
REFUNDS = [name for name in razorpay.TYPES if name.startswith("refund.")]
PAID = [name for name, extract in razorpay.TYPES.items() if extract is razorpay.TYPES["order.paid"]]


def read(type_: str, **members: dict[str, Any]) -> Sequence[Fact]:
    body = json.dumps({"event": type_, "payload": {name: {"entity": entity} for name, entity in members.items()}})
    return razorpay.extract_facts(Event("r", "r", "razorpay", "e", type_, "pay_1", NOW, NOW, "body", body.encode()))


@pytest.mark.parametrize("type_", ["payment.captured", *PAID])
def test_all_events_about_a_capture_report_the_same_fact(type_: str) -> None:
    assert list(read(type_, payment=PAYMENT)) == [Fact("captured", 1000, "INR", "pay_1")]


@pytest.mark.parametrize("captured", ["1", "true", 1])
def test_the_flag_of_a_capture_may_be_text(captured: object) -> None:
    assert list(read("payment.captured", payment={**PAYMENT, "captured": captured})) == [
        Fact("captured", 1000, "INR", "pay_1")
    ]


@pytest.mark.parametrize("type_", PAID)
@pytest.mark.parametrize("members", [{}, {"payment": {**PAYMENT, "status": "authorized"}}])
def test_a_paid_order_without_a_captured_payment_moves_nothing(type_: str, members: dict[str, Any]) -> None:
    assert list(read(type_, **members)) == []


@pytest.mark.parametrize("type_", REFUNDS)
@pytest.mark.parametrize(
    ("status", "kind"), [("processed", "refunded"), ("failed", "refund_failed"), ("pending", None), ("new", None)]
)
def test_a_refund_is_reported_by_its_status(type_: str, status: str, kind: Any) -> None:
    facts = [Fact(kind, 400, "INR", "rfnd_1")] if kind else []
    assert list(read(type_, refund={**REFUND, "status": status}, payment=PAYMENT)) == facts
    assert list(read(type_, refund={**REFUND, "status": status})) == facts


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("refund.processed", "refunded"), ("refund.failed", "refund_failed"), ("refund.created", None)],
)
def test_a_refund_without_a_status_is_reported_by_the_type(type_: str, kind: str | None) -> None:
    assert [fact.kind for fact in read(type_, refund={**REFUND, "status": None})] == ([kind] if kind else [])


def test_a_refund_of_an_uncaptured_payment_is_a_cancellation() -> None:
    payment = {**PAYMENT, "captured": False, "status": "refunded"}
    assert list(read("refund.processed", refund=REFUND, payment=payment)) == [Fact("canceled", 1000, "INR")]
    assert list(read("refund.failed", refund={**REFUND, "status": "failed"}, payment=payment)) == []


@pytest.mark.parametrize("type_", ["payment.dispute.lost", "payment.dispute.closed"])
@pytest.mark.parametrize("deducted", [0, 700])
def test_a_lost_dispute_takes_what_was_deducted(type_: str, deducted: int) -> None:
    facts = read(type_, dispute={**DISPUTE, "status": "lost", "amount_deducted": deducted})
    withdrawn = [Fact("funds_withdrawn", deducted, "INR", "disp_1")] if deducted else []
    assert list(facts) == [Fact("dispute_lost", 1000, "INR", "disp_1"), *withdrawn]


@pytest.mark.parametrize("type_", [each for each in razorpay.TYPES if "dispute" in each])
def test_a_dispute_takes_what_is_deducted_already_when_it_is_raised(type_: str) -> None:
    """razorpay.com/docs/payments/disputes/chargeback-fees-and-penalties, "Deduct at Onset"."""
    state, *transfers = read(type_, dispute={**DISPUTE, "amount_deducted": 1000})
    assert (state.kind.startswith("dispute_"), state.amount) == (True, 1000)
    assert transfers[0] == Fact("funds_withdrawn", 1000, "INR", "disp_1")
    is_won = state.kind == "dispute_won"
    assert transfers[1:] == ([Fact("funds_reinstated", 1000, "INR", "disp_1")] if is_won else [])
    assert list(read(type_, dispute={**DISPUTE, "amount_deducted": None})) == [state]


@pytest.mark.parametrize("type_", razorpay.TYPES)
@pytest.mark.parametrize("payload", [None, {}, [], {"payment": [], "refund": [], "dispute": []}, {"payment": None}])
def test_a_payload_without_its_member_is_incomplete(type_: str, payload: object) -> None:
    """An empty object may be written as an empty array, as in `"notes": []`."""
    body = json.dumps({"event": type_, "payload": payload}).encode()
    event = Event("r", "r", "razorpay", "e", type_, "pay_1", NOW, NOW, "body", body)
    if type_ in PAID and isinstance(payload, dict):
        assert list(razorpay.extract_facts(event)) == []
        return
    with pytest.raises(IncompleteError):
        razorpay.extract_facts(event)
