"""Stripe: which refunds, disputes and captures moved money, and currencies with other decimals than in ISO 4217."""

import json
from dataclasses import replace
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from contract.money import BIGINT_MAX, MoneyError
from providers.facts import IncompleteError
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
        ("funds_withdrawn", []),
        ("funds_reinstated", []),
    ):
        facts = facts_of("charge_dispute_created", f"charge.dispute.{type_}", status=status)
        assert kinds(facts) == [*first, *ended, "funds_withdrawn"]


@pytest.mark.parametrize("listed", [None, [], [{"amount": -1500, "currency": "eur", "reporting_category": "fee"}]])
@pytest.mark.parametrize(
    ("type_", "assumed"),
    [
        ("created", []),
        ("closed", []),
        ("funds_withdrawn", ["funds_withdrawn"]),
        ("funds_reinstated", ["funds_withdrawn", "funds_reinstated"]),
    ],
)
def test_a_dispute_that_lists_nothing_moved_what_is_claimed(type_: str, assumed: list[str], listed: object) -> None:
    facts = facts_of("charge_dispute_created", f"charge.dispute.{type_}", balance_transactions=listed)
    moved = [fact for fact in facts if fact.kind.startswith("funds_")]
    assert kinds(moved) == assumed
    assert {(fact.amount, fact.currency, fact.object) for fact in moved} <= {(4590, "EUR", "dp_1Lindenbaum3Dd")}


def balance(amount: int, created: int, currency: str = "eur", category: str | None = "dispute") -> dict[str, Any]:
    return {"amount": amount, "created": created, "currency": currency, "reporting_category": category}


@pytest.mark.parametrize("type_", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"])
def test_a_dispute_moves_what_its_balance_transactions_say(type_: str) -> None:
    """Each event of a dispute reports all that moved so far, so that a missing one does no harm."""
    listed = [balance(4000, 3), balance(-500, 5), balance(-10000, 1), balance(0, 2), balance(200, 7, "isk")]
    facts = facts_of("charge_dispute_created", f"charge.dispute.{type_}", balance_transactions=listed, currency="usd")
    assert [fact for fact in facts if fact.kind.startswith("funds_")] == [
        Fact("funds_withdrawn", 10000, "EUR", "dp_1Lindenbaum3Dd"),
        Fact("funds_reinstated", 4000, "EUR", "dp_1Lindenbaum3Dd"),
        Fact("funds_withdrawn", 500, "EUR", "dp_1Lindenbaum3Dd:2", dispute="dp_1Lindenbaum3Dd"),
        Fact("funds_reinstated", 2, "ISK", "dp_1Lindenbaum3Dd:2", dispute="dp_1Lindenbaum3Dd"),
    ]


def test_the_name_of_a_transfer_of_a_dispute_stays_when_more_follow() -> None:
    listed = [balance(-10000, 1), balance(4000, 2), balance(-4000, 3)]
    seen = [
        set(facts_of("charge_dispute_created", balance_transactions=listed[:count]))
        for count in range(1, len(listed) + 1)
    ]
    assert seen[0] < seen[1] < seen[2]


@pytest.mark.parametrize(("received", "captured"), [(None, []), (0, []), (300, [300])])
def test_an_intent_that_is_canceled_keeps_what_was_captured(received: int | None, captured: list[int]) -> None:
    canceled, *rest = facts_of("payment_intent_canceled", amount_received=received)
    assert canceled.kind == "canceled"
    assert [(fact.kind, fact.amount) for fact in rest] == [("captured", amount) for amount in captured]


@pytest.mark.parametrize(("is_captured", "taken"), [(False, 0), (False, 12000), (True, 0), (True, None), (True, 12000)])
def test_a_hold_that_expires_keeps_what_was_captured(is_captured: bool, taken: int | None) -> None:
    expired = facts_of("charge_captured_of_several", "charge.expired", captured=is_captured, amount_captured=taken)
    assert kinds(expired) == (["canceled", "captured"] if is_captured and taken else ["canceled"])


@pytest.mark.parametrize("type_", sorted(TYPES))
@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": {"object": None}}, {"data": {"object": {}}}, {"data": []}]
)
def test_an_event_without_its_object_is_incomplete(type_: str, body: object) -> None:
    event = RECORDED["charge_succeeded"].event()
    with pytest.raises(IncompleteError):
        extract_facts(replace(event, type=type_, body=json.dumps(body).encode()))


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
    alike = {"payment_intent.processing", "payment_intent.requires_action"}
    charges = {"charge.pending", "charge.failed"}
    assert set(TYPES) - recorded == alike | charges
    for type_, kind in (("pending", "pending"), ("failed", "failed")):
        assert kinds(facts_of("charge_succeeded", f"charge.{type_}")) == [kind]
