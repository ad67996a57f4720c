"""Stripe: which refunds, disputes and captures moved money, and currencies with other decimals than in ISO 4217."""

import json
from dataclasses import replace
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from contract.money import BIGINT_MAX, MoneyError
from providers.stripe.facts import TYPES, extract_facts
from tests.support.recorded import recordings

RECORDED = {recording.name: recording for recording in recordings("stripe")}


def facts_of(name: str, type_: str | None = None, **changes: Any) -> list[Fact]:
    """Return the facts of a recorded event whose object is changed."""
    event, body = changed(name, **changes)
    return list(extract_facts(replace(event, type=type_ or event.type, body=json.dumps(body).encode())))


def changed(name: str, **changes: Any) -> tuple[Event, Any]:
    event = RECORDED[name].event()
    body = json.loads(event.body)
    body["data"]["object"].update(changes)
    return event, body


def kinds(facts: list[Fact]) -> list[str]:
    return [fact.kind for fact in facts]


def test_an_intent_and_its_charge_report_one_capture() -> None:
    (_, one), (_, other) = facts_of("payment_intent_succeeded"), facts_of("charge_succeeded")
    assert one == other


@pytest.mark.parametrize(
    ("status", "balance_transaction", "expected"),
    [
        ("succeeded", "txn_1", ["refunded"]),
        ("succeeded", {"id": "txn_1", "amount": -1500}, ["refunded"]),
        ("succeeded", None, []),
        ("pending", "txn_1", ["refunded"]),
        ("pending", None, []),
        ("requires_action", "txn_1", []),
        ("requires_action", None, []),
        ("failed", "txn_1", ["refund_failed"]),
        ("failed", None, ["refund_failed"]),
        ("canceled", "txn_1", ["refund_failed"]),
        (None, "txn_1", ["refunded"]),
    ],
)
@pytest.mark.parametrize("type_", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
def test_a_refund_counts_once_the_balance_changed(
    type_: str, status: str | None, balance_transaction: object, expected: list[str]
) -> None:
    facts = facts_of("refund_created", type_, status=status, balance_transaction=balance_transaction)
    assert kinds(facts) == expected


def test_a_refund_without_a_balance_field_counts() -> None:
    event, body = changed("refund_created")
    del body["data"]["object"]["balance_transaction"]
    assert kinds(list(extract_facts(replace(event, body=json.dumps(body).encode())))) == ["refunded"]


@pytest.mark.parametrize(
    ("taken", "refunded", "paid_back"),
    [(7500, 2500, 0), (7500, 3500, 1000), (7500, 10000, 7500), (10000, 4000, 4000), (7500, 0, 0), (12000, 300, 300)],
)
def test_what_was_released_uncaptured_is_no_refund(taken: int, refunded: int, paid_back: int) -> None:
    facts = facts_of("charge_captured_in_part", "charge.refunded", amount_captured=taken, amount_refunded=refunded)
    assert [fact.amount for fact in facts] == [10000, taken, paid_back]


def test_an_old_charge_is_captured_in_full_or_not_at_all() -> None:
    for captured, expected in ((True, ["authorized", "captured"]), (False, ["authorized"])):
        assert kinds(facts_of("charge_succeeded", captured=captured, amount_captured=None)) == expected


@pytest.mark.parametrize("type_", ["charge.succeeded", "charge.captured", "charge.refunded"])
def test_only_the_intent_reports_several_captures(type_: str) -> None:
    for taken in (12000, 27500):
        assert "captured" not in kinds(facts_of("charge_captured_of_several", type_, amount_captured=taken))


@pytest.mark.parametrize("details", [None, {}, {"card": None}, {"card": {}}, {"sepa_debit": {}}])
def test_a_charge_without_a_card_is_captured_once(details: object) -> None:
    assert "captured" in kinds(facts_of("charge_captured_of_several", payment_method_details=details))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("needs_response", None),
        ("under_review", None),
        ("warning_needs_response", None),
        ("warning_under_review", None),
        ("appeal_needs_response", None),
        ("something_new", None),
        (None, None),
        ("won", "dispute_won"),
        ("lost", "dispute_lost"),
        ("warning_closed", "dispute_won"),
        ("charge_refunded", "dispute_won"),
        ("prevented", "dispute_lost"),
    ],
)
def test_the_status_of_a_dispute_is_its_outcome(status: str | None, outcome: str | None) -> None:
    ended = [outcome] if outcome else []
    for type_, first in (
        ("created", ["dispute_opened"]),
        ("updated", ["dispute_opened"]),
        ("closed", []),
        ("funds_withdrawn", ["funds_withdrawn"]),
        ("funds_reinstated", ["funds_reinstated"]),
    ):
        assert kinds(facts_of("charge_dispute_created", f"charge.dispute.{type_}", status=status)) == first + ended


@pytest.mark.parametrize(
    ("currency", "written", "minor"),
    [("isk", 500, 5), ("ugx", 500, 5), ("mga", 5, 500), ("jpy", 5, 5), ("kwd", 5120, 5120), ("huf", 1045, 1045)],
)
def test_minor_units_are_those_of_iso_4217(currency: str, written: int, minor: int) -> None:
    (fact,) = facts_of("payment_intent_created", amount=written, currency=currency)
    assert (fact.amount, fact.currency) == (minor, currency.upper())


@pytest.mark.parametrize(("currency", "written"), [("isk", 4010), ("ugx", 1), ("mga", BIGINT_MAX)])
def test_a_fraction_of_a_minor_unit_is_refused(currency: str, written: int) -> None:
    with pytest.raises(MoneyError):
        facts_of("payment_intent_created", amount=written, currency=currency)


def test_every_type_is_recorded_or_like_a_recorded_one() -> None:
    recorded = {recording.content["event"]["type"] for recording in RECORDED.values()}
    alike = {"payment_intent.processing", "payment_intent.requires_action", "refund.updated"}
    charges = {"charge.pending", "charge.failed", "charge.expired"}
    assert set(TYPES) - recorded == alike | charges
    for type_, kind in (("pending", "pending"), ("failed", "failed"), ("expired", "canceled")):
        assert kinds(facts_of("charge_succeeded", f"charge.{type_}")) == [kind]
