"""Paddle: one capture from two events, adjustments by action and status, disputes named after the transaction."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import BIGINT_MAX
from providers.facts import IncompleteError
from providers.paddle import facts as paddle
from tests.support.cases.base import NOW

TRANSACTIONS = [type_ for type_ in paddle.TYPES if type_.startswith("transaction.")]
ADJUSTMENTS = [type_ for type_ in paddle.TYPES if type_.startswith("adjustment.")]
NOTHING = [
    ("refund", "pending_approval"),
    ("refund", "rejected"),
    ("chargeback", "pending_approval"),
    ("credit", "approved"),
    ("credit", "reversed"),
    ("credit_reverse", "approved"),
    ("tax_refund", "approved"),
    ("refund", "something_new"),
]


def read(type_: str, data: object) -> Sequence[Fact]:
    body = json.dumps({"event_id": "evt_1", "event_type": type_, "data": data}).encode()
    return paddle.extract_facts(Event("p", "p", "paddle", "evt_1", type_, "txn_1", NOW, NOW, "body", body))


def transaction(type_: str, grand_total: object = "4500", currency: str = "EUR", **totals: object) -> Sequence[Fact]:
    details = {"totals": {"total": "6000", "credit": "1500", "balance": "0", "grand_total": grand_total, **totals}}
    return read(type_, {"id": "txn_1", "status": "paid", "currency_code": currency, "details": details})


def adjustment(action: str, status: str, total: object = "1800", id_: str = "adj_1", **more: Any) -> Sequence[Fact]:
    data = {"id": id_, "action": action, "status": status, "transaction_id": "txn_1", "currency_code": "EUR"}
    return read("adjustment.updated", {**data, "totals": {"total": total}} | more)


def test_paid_and_completed_report_one_capture() -> None:
    assert list(transaction("transaction.paid")) == list(transaction("transaction.completed"))
    assert list(transaction("transaction.paid")) == [Fact("captured", 4500, "EUR", "txn_1")]


@pytest.mark.parametrize(
    "type_", ["created", "ready", "updated", "revised", "imported"], ids=lambda name: f"transaction.{name}"
)
def test_a_transaction_that_may_still_change_reports_nothing(type_: str) -> None:
    assert list(transaction(f"transaction.{type_}")) == []


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("billed", "pending"), ("past_due", "pending"), ("payment_failed", "failed"), ("canceled", "canceled")],
)
def test_an_unpaid_transaction_reports_its_state(type_: str, kind: Any) -> None:
    assert list(transaction(f"transaction.{type_}")) == [Fact(kind, 4500, "EUR")]


@pytest.mark.parametrize(("action", "status"), NOTHING)
def test_an_adjustment_that_moves_no_money_reports_nothing(action: str, status: str) -> None:
    assert list(adjustment(action, status)) == []


def test_each_refund_is_a_transfer_of_its_own() -> None:
    assert {
        fact.object for id_ in ("adj_1", "adj_2", "adj_1") for fact in adjustment("refund", "approved", id_=id_)
    } == {
        "adj_1",
        "adj_2",
    }


def test_a_refund_that_is_reversed_undoes_itself() -> None:
    assert list(adjustment("refund", "approved")) == [Fact("refunded", 1800, "EUR", "adj_1")]
    assert list(adjustment("refund", "reversed")) == [Fact("refund_failed", 1800, "EUR", "adj_1")]


@pytest.mark.parametrize(("action", "dispute"), [("chargeback", "txn_1"), ("chargeback_warning", "txn_1/warning")])
def test_each_chargeback_and_reversal_is_a_transfer_of_one_dispute(action: str, dispute: str) -> None:
    assert list(adjustment(action, "approved", id_="adj_1")) == [
        Fact("dispute_opened", 1800, "EUR", dispute),
        Fact("funds_withdrawn", 1800, "EUR", "adj_1", dispute=dispute),
    ]
    assert list(adjustment(f"{action}_reverse", "approved", id_="adj_2")) == [
        Fact("dispute_won", 1800, "EUR", dispute),
        Fact("funds_reinstated", 1800, "EUR", "adj_2", dispute=dispute),
    ]


@pytest.mark.parametrize("action", ["chargeback", "chargeback_warning"])
def test_a_chargeback_that_becomes_reversed_leaves_the_money_to_its_reversal(action: str) -> None:
    """Paddle sets that status when it creates the reversal, which is an adjustment of its own."""
    assert [fact.kind for fact in adjustment(action, "reversed")] == ["dispute_won"]


def test_the_longest_ids_leave_room_for_the_suffix() -> None:
    (fact, transfer) = adjustment("chargeback_warning", "approved", transaction_id="t" * 200)
    assert len(fact.object) == len(transfer.dispute) < 255
    with pytest.raises(ValidationError):
        adjustment("chargeback_warning", "approved", transaction_id="t" * 201)


@pytest.mark.parametrize(("text", "amount"), [("0", 0), ("0012", 12), (str(BIGINT_MAX), BIGINT_MAX)])
def test_amounts_are_text_of_digits(text: str, amount: int) -> None:
    assert [fact.amount for fact in transaction("transaction.paid", text, "JPY")] == [amount]
    assert [fact.amount for fact in adjustment("refund", "approved", text)] == [amount]


@pytest.mark.parametrize(
    "text", [45, 45.0, "45.00", "-45", "+45", "4_5", " 45", "", True, "\u0664\u0665", "9" * 19, "9" * 99]
)
def test_an_amount_that_paddle_would_not_write_is_refused(text: object) -> None:
    for type_ in TRANSACTIONS:
        with pytest.raises(ValidationError):
            transaction(type_, text)
    with pytest.raises(ValidationError):
        adjustment("refund", "approved", text)


@pytest.mark.parametrize("data", [None, [], {}, {"id": "txn_1"}, {"id": "adj_1", "action": "refund"}])
def test_data_that_leaves_out_what_money_needs_is_incomplete(data: object) -> None:
    for type_ in (*TRANSACTIONS, *ADJUSTMENTS):
        with pytest.raises(IncompleteError):
            read(type_, data)


def test_a_grand_total_that_is_not_calculated_yet_is_the_total_less_credit() -> None:
    """In paddle-python-sdk grand_total may be None."""
    assert [fact.amount for fact in transaction("transaction.billed", None)] == [4500]
    with pytest.raises(IncompleteError, match="total"):
        transaction("transaction.billed", None, total=None)
