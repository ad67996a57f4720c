"""Checkout.com: several captures of one payment, payouts, partial voids, and pesos in hundredths."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from contract.facts import Fact
from contract.money import MoneyError
from providers.checkout.facts import extract_facts
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
def test_a_capture_or_refund_without_an_id_is_refused(type_: str) -> None:
    with pytest.raises(ValidationError):
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


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("dispute_received", ["dispute_opened"]),
        ("dispute_canceled", ["dispute_won", "funds_reinstated"]),
        ("dispute_accepted", ["dispute_lost"]),
        ("dispute_expired", ["dispute_lost"]),
        ("dispute_arbitration_won", ["dispute_won"]),
        ("dispute_arbitration_lost", ["dispute_lost"]),
        ("dispute_evidence_submitted", []),
    ],
)
def test_the_end_of_a_dispute_moves_the_documented_money(type_: str, expected: list[str]) -> None:
    assert kinds(facts_of("dispute_lost", type_)) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("rapid_dispute_resolution", "dispute_lost"), ("already_refunded", "dispute_won"), (None, "dispute_won")],
)
def test_the_reason_of_a_resolved_dispute_decides_who_paid(reason: str | None, expected: str) -> None:
    assert kinds(facts_of("dispute_resolved_by_the_network", resolved_reason=reason)) == [expected]


@pytest.mark.parametrize(("currency", "written", "minor"), [("CLP", 1000, 10), ("ISK", 10, 10), ("BHD", 1310, 1310)])
def test_minor_units_are_those_of_iso_4217(currency: str, written: int, minor: int) -> None:
    (fact,) = facts_of("payment_approved", amount=written, currency=currency)
    assert (fact.amount, fact.currency) == (minor, currency)


def test_half_a_peso_is_refused() -> None:
    with pytest.raises(MoneyError):
        facts_of("payment_approved", amount=1050, currency="CLP")
