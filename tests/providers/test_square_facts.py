"""Square: the facts of each status of a payment, a refund and a dispute."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from contract.facts import Fact
from providers.facts import IncompleteError
from providers.square.facts import extract_facts
from tests.support.recorded import recordings

RECORDED = {recording.name: recording for recording in recordings("square")}


def facts_of(name: str, without: str = "", **changes: Any) -> list[Fact]:
    """Return the facts of a recorded event whose object is changed."""
    event = RECORDED[name].event()
    body = json.loads(event.body)
    (about,) = body["data"]["object"].values()
    about.update(changes)
    about.pop(without, None)
    return list(extract_facts(replace(event, body=json.dumps(body).encode())))


def kinds(facts: list[Fact]) -> list[str]:
    return [fact.kind for fact in facts]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("PENDING", ["pending"]),
        ("APPROVED", ["authorized"]),
        ("COMPLETED", ["authorized", "captured"]),
        ("CANCELED", ["canceled"]),
        ("FAILED", ["failed"]),
        ("SOMETHING_NEW", []),
    ],
)
def test_a_payments_status(status: str, expected: list[str]) -> None:
    assert kinds(facts_of("payment_created_approved", status=status)) == expected


def test_a_tip_is_paid_too_and_an_old_payment_has_no_total() -> None:
    assert [fact.amount for fact in facts_of("payment_updated_completed_with_a_tip")] == [5000, 5000]
    assert [fact.amount for fact in facts_of("payment_updated_completed_with_a_tip", without="total_money")] == [
        4590,
        4590,
    ]


@pytest.mark.parametrize("refunded", [None, {"amount": 0, "currency": "EUR"}])
def test_nothing_refunded_is_no_total(refunded: Mapping[str, object] | None) -> None:
    facts = facts_of("payment_updated_refunded_in_part", refunded_money=refunded)
    assert kinds(facts) == ["authorized", "captured"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("PENDING", []),
        (None, []),
        ("SOMETHING_NEW", []),
        ("COMPLETED", ["refunded"]),
        ("REJECTED", ["refund_failed"]),
        ("FAILED", ["refund_failed"]),
    ],
)
def test_a_refund_counts_once_it_is_completed(status: str | None, expected: list[str]) -> None:
    assert kinds(facts_of("refund_created_pending", status=status)) == expected


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "REJECTED"])
@pytest.mark.parametrize(
    ("destination", "is_booked"),
    [("CASH", False), ("EXTERNAL", False), ("CARD", True), ("BANK_ACCOUNT", True), (None, True)],
)
def test_a_refund_outside_square_moves_nothing_there(status: str, destination: str | None, is_booked: bool) -> None:
    assert bool(facts_of("refund_created_pending", status=status, destination_type=destination)) is is_booked


@pytest.mark.parametrize(
    ("source", "held_by"),
    [("CASH", "merchant"), ("EXTERNAL", "merchant"), ("CARD", "provider"), ("WALLET", "provider"), (None, "provider")],
)
def test_money_that_square_never_held_is_the_merchants(source: str | None, held_by: str) -> None:
    (_, captured) = facts_of("payment_updated_completed_with_a_tip", source_type=source)
    assert (captured.kind, captured.held_by) == ("captured", held_by)


NO_AMOUNT = [None, {}, {"currency": "EUR"}, {"amount": None, "currency": "EUR"}, {"amount": 5}]
"""Money as Square's reference allows it: each part is optional."""


@pytest.mark.parametrize("money", NO_AMOUNT)
def test_a_total_without_an_amount_is_no_total(money: object) -> None:
    whole = facts_of("payment_updated_completed_with_a_tip")
    assert facts_of("payment_updated_completed_with_a_tip", tip_money=money, refunded_money=money) == whole
    assert [fact.amount for fact in facts_of("payment_updated_completed_with_a_tip", total_money=money)] == [4590, 4590]


@pytest.mark.parametrize("money", NO_AMOUNT)
@pytest.mark.parametrize(
    "name", ["payment_updated_completed_with_a_tip", "refund_updated_completed", "dispute_created"]
)
def test_what_has_no_amount_at_all_is_incomplete(name: str, money: object) -> None:
    with pytest.raises(IncompleteError):
        facts_of(name, amount_money=money, total_money=money)


@pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": {}}, {"object": {"payment": None}}, []])
@pytest.mark.parametrize("type_", ["payment.updated", "refund.updated", "dispute.state.updated"])
def test_an_event_without_its_object_is_incomplete(type_: str, data: object) -> None:
    event = RECORDED["dispute_created"].event()
    with pytest.raises(IncompleteError):
        extract_facts(replace(event, type=type_, body=json.dumps({"data": data}).encode()))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("INQUIRY_EVIDENCE_REQUIRED", ["dispute_opened"]),
        ("INQUIRY_PROCESSING", ["dispute_opened"]),
        ("INQUIRY_CLOSED", ["dispute_won"]),
        ("EVIDENCE_REQUIRED", ["dispute_opened"]),
        ("PROCESSING", ["dispute_opened"]),
        ("WON", ["dispute_won"]),
        ("LOST", ["dispute_lost", "funds_withdrawn"]),
        ("ACCEPTED", ["dispute_lost", "funds_withdrawn"]),
        ("SOMETHING_NEW", []),
    ],
)
def test_a_disputes_state(state: str, expected: list[str]) -> None:
    assert kinds(facts_of("dispute_created", state=state)) == expected


def test_a_dispute_of_old_has_its_id_under_another_name() -> None:
    (fact,) = facts_of("dispute_created", without="id")
    assert fact.object == "LindenbaumDp1A0"
