"""Checkout.com: several captures of one payment, payouts, partial voids, and pesos in hundredths."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from contract.facts import Fact
from contract.money import MoneyError
from providers.checkout.facts import TYPES, extract_facts
from providers.facts import IncompleteError
from tests.support.recorded import recordings

RECORDED = {recording.name: recording for recording in recordings("checkout")}


def facts_of(name: str, type_: str | None = None, **changes: Any) -> list[Fact]:
    """Return the facts of a recorded event with changed data."""
    event = RECORDED[name].event()
    body = json.loads(event.body)
    body["data"].update(changes)
    return list(extract_facts(replace(event, type=type_ or event.type, body=json.dumps(body).encode())))


def kinds(facts: list[Fact]) -> list[str]:
    return [fact.kind for fact in facts]


def test_every_capture_has_an_id_of_its_own() -> None:
    first, second = facts_of("payment_captured_in_part")[-1], facts_of("payment_captured_a_second_time")[-1]
    assert (first.amount, second.amount) == (6000, 4000)
    assert first.object != second.object


@pytest.mark.parametrize("type_", ["payment_approved", "payment_returned"])
def test_a_payout_gives_no_facts_of_a_payment(type_: str) -> None:
    assert facts_of("payment_returned_of_a_payout", type_) == []


@pytest.mark.parametrize("type_", ["payment_captured", "payment_refunded", "payment_returned"])
def test_a_capture_or_refund_without_an_id_is_incomplete(type_: str) -> None:
    with pytest.raises(IncompleteError):
        facts_of("payment_captured_in_part", type_, action_id=None)


@pytest.mark.parametrize(
    "type_",
    ["payment_capture_pending", "payment_capture_declined", "payment_refund_declined", "payment_void_declined"],
)
def test_a_requested_or_declined_action_moves_nothing(type_: str) -> None:
    assert facts_of("payment_captured_in_part", type_) == []


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        (None, ["canceled"]),
        ({"total_authorized": 8000, "available_to_capture": 0}, ["authorized", "canceled"]),
        ({"total_authorized": 8000, "available_to_capture": 3000}, ["authorized"]),
    ],
)
def test_voiding_a_part_does_not_cancel_the_payment(balances: Mapping[str, int] | None, expected: list[str]) -> None:
    facts = facts_of("payment_voided", amount=5000, balances=balances)
    assert kinds(facts) == expected
    assert facts[-1].amount == (8000 if balances else 5000)


def test_an_increment_reports_the_new_total() -> None:
    increment = {"total_authorized": 12000}
    (fact,) = facts_of("payment_approved", "payment_authorization_incremented", amount=2000, balances=increment)
    assert (fact.kind, fact.amount) == ("authorized", 12000)
    assert facts_of("payment_approved", "payment_authorization_incremented", amount=2000) == []


def test_a_refund_reports_the_total_where_the_event_has_it() -> None:
    assert kinds(facts_of("payment_refunded", balances=None)) == ["refunded"]


OPEN = ["dispute_opened", "funds_withdrawn"]
WON = ["dispute_won", "funds_withdrawn", "funds_reinstated"]
LOST = ["dispute_lost", "funds_withdrawn"]


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("dispute_received", OPEN),
        ("dispute_evidence_required", OPEN),
        ("dispute_evidence_submitted", OPEN),
        ("dispute_evidence_acknowledged_by_scheme", OPEN),
        ("dispute_arbitration_sent_to_scheme", OPEN),
        ("dispute_arbitration_evidence_submitted", OPEN),
        ("dispute_won", WON),
        ("dispute_canceled", WON),
        ("dispute_arbitration_won", WON),
        ("dispute_lost", LOST),
        ("dispute_accepted", LOST),
        ("dispute_expired", LOST),
        ("dispute_arbitration_lost", LOST),
        ("request_for_information_received", []),
    ],
)
def test_every_event_of_a_dispute_says_that_its_amount_was_deducted(type_: str, expected: list[str]) -> None:
    assert kinds(facts_of("dispute_lost", type_)) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("rapid_dispute_resolution", LOST), ("already_refunded", WON), (None, WON)],
)
def test_the_reason_of_a_resolved_dispute_decides_who_paid(reason: str | None, expected: list[str]) -> None:
    assert kinds(facts_of("dispute_resolved_by_the_network", resolved_reason=reason)) == expected


@pytest.mark.parametrize(("currency", "written", "minor"), [("CLP", 1000, 10), ("ISK", 10, 10), ("BHD", 1310, 1310)])
def test_minor_units_are_those_of_iso_4217(currency: str, written: int, minor: int) -> None:
    (fact,) = facts_of("payment_approved", amount=written, currency=currency)
    assert (fact.amount, fact.currency) == (minor, currency)


def test_half_a_peso_is_refused() -> None:
    with pytest.raises(MoneyError):
        facts_of("payment_approved", amount=1050, currency="CLP")


@pytest.mark.parametrize(
    "data", [None, [], "pay_1", 5, {}, {"id": "pay_1"}, {"id": "pay_1", "amount": 5, "currency": None}]
)
@pytest.mark.parametrize("type_", TYPES)
def test_data_without_an_amount_is_incomplete(type_: str, data: object) -> None:
    """The gateway accepts any `data`, because the id of an event is all that it needs."""
    event = RECORDED["dispute_lost"].event()
    with pytest.raises(IncompleteError):
        extract_facts(replace(event, type=type_, body=json.dumps({"id": "e", "type": type_, "data": data}).encode()))


@pytest.mark.parametrize("balances", [None, [], {}, {"total_captured": 5}])
def test_totals_that_are_left_out_are_not_needed(balances: object) -> None:
    assert kinds(facts_of("payment_captured_in_part", balances=balances)) == ["captured"]
    assert kinds(facts_of("payment_refunded", balances=balances)) == ["refunded"]
