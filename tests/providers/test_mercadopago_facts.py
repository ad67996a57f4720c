"""Mercado Pago: orders have amounts, and only a source's setting has their currency."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.facts import IncompleteError, UnreadableError
from providers.mercadopago.facts import TYPES, extract_facts
from tests.support.cases.base import NOW
from tests.support.recorded import recordings

DOCUMENTED_ERRORS = (ValidationError, MoneyError, UnreadableError)
SIGNED = {"data.id": "ORD1"}
BRL = {"currency": "BRL", **SIGNED}
PAYMENT = {"id": "PAY1", "amount": "30.00", "paid_amount": "28.50", "status": "processed"}
REFUND = {"id": "REF1", "transaction_id": "PAY1", "amount": "10.00"}


def event(type_: str, body: bytes, headers: Mapping[str, str] = BRL) -> Event:
    return Event("a", "a", "mercadopago", "e_1", type_, "ord1", NOW, NOW, "reference", body, headers)


def facts_of(type_: str, order: Mapping[str, Any], headers: Mapping[str, str] = BRL) -> list[Fact]:
    return list(extract_facts(event(type_, json.dumps({"data": {"id": "ORD1", **order}}).encode(), headers)))


@pytest.mark.parametrize(
    ("headers", "missing"), [(SIGNED, "currency"), ({"currency": "BRL"}, "signed"), ({}, "currency")]
)
@pytest.mark.parametrize("type_", TYPES)
def test_without_a_currency_or_a_signed_id_no_body_is_read(type_: str, headers: dict[str, str], missing: str) -> None:
    with pytest.raises(IncompleteError, match=missing):
        extract_facts(event(type_, b"not read", headers))


def test_the_currency_decides_what_an_amount_is() -> None:
    order = {"total_amount": "1500"}
    assert facts_of("order.failed", order) == [Fact("failed", 150_000, "BRL")]
    assert facts_of("order.failed", order, {"currency": "CLP", **SIGNED}) == [Fact("failed", 1500, "CLP")]
    with pytest.raises(MoneyError):
        facts_of("order.failed", {"total_amount": "15.50"}, {"currency": "CLP", **SIGNED})
    with pytest.raises(MoneyError):
        facts_of("order.failed", order, {"currency": "ZZZ", **SIGNED})


def test_a_paid_payment_is_captured_under_its_own_id() -> None:
    unpaid = [{**PAYMENT, "id": f"PAY{status}", "status": status} for status in ("failed", "action_required", "new")]
    order = {"total_amount": "30.00", "transactions": {"payments": [*unpaid, PAYMENT]}}
    assert facts_of("order.processed", order) == [
        Fact("authorized", 3000, "BRL"),
        Fact("captured", 2850, "BRL", "PAY1"),
    ]
    without = {name: value for name, value in PAYMENT.items() if name != "paid_amount"}
    assert facts_of("order.processed", {"transactions": {"payments": [without]}}) == [
        Fact("captured", 3000, "BRL", "PAY1")
    ]


@pytest.mark.parametrize(
    ("status", "kind"), [("processed", "refunded"), ("failed", "refund_failed"), ("processing", None), ("", None)]
)
def test_a_refund_counts_once_it_is_processed(status: str, kind: str | None) -> None:
    facts = facts_of("order.processed", {"transactions": {"refunds": [{**REFUND, "status": status}]}})
    assert [(fact.kind, fact.amount, fact.object) for fact in facts] == ([(kind, 1000, "REF1")] if kind else [])


@pytest.mark.parametrize(("detail", "kind"), [("waiting_capture", "authorized"), ("waiting_payment", "pending")])
def test_a_required_action_is_the_merchants_or_the_customers(detail: str, kind: str) -> None:
    (fact,) = facts_of("order.action_required", {"total_amount": "30.00", "status_detail": detail})
    assert fact.kind == kind
    assert facts_of("order.action_required", {"status_detail": detail}) == []


def test_a_body_about_another_order_is_refused() -> None:
    with pytest.raises(UnreadableError, match="another order"):
        facts_of("order.canceled", {"id": "ORD2", "total_amount": "30.00"})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "1", "-1", "1.005", "9" * 30, "\x00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*PAYMENT, "payments"]), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(type_=st.sampled_from(sorted(TYPES)), body=st.binary() | VALUES.map(lambda each: json.dumps(each).encode()))
def test_any_body_is_read_or_refused_where_the_currency_is_known(type_: str, body: bytes) -> None:
    with pytest.raises(DOCUMENTED_ERRORS):
        extract_facts(event(type_, body))


@settings(deadline=None, max_examples=300)
@given(
    type_=st.sampled_from(sorted(TYPES)),
    order=st.dictionaries(
        st.sampled_from(["status_detail", "total_amount", "total_paid_amount", "transactions"]), VALUES
    ),
)
def test_any_order_is_read_or_refused(type_: str, order: dict[str, Any]) -> None:
    try:
        facts = facts_of(type_, order)
    except DOCUMENTED_ERRORS:
        return
    assert all(isinstance(fact, Fact) for fact in facts)


PAID = {
    "total_amount": "10.00",
    "total_paid_amount": "10.00",
    "transactions": {"payments": [{**PAYMENT, "amount": "10"}]},
}


@pytest.mark.parametrize("type_", ["order.processed", "order.refunded"])
@pytest.mark.parametrize(
    ("status", "whole"),
    [
        ({"status": "processed", "status_detail": "partially_refunded"}, False),
        ({"status": "processed", "status_detail": "refunded"}, True),
        ({"status": "refunded", "status_detail": "refunded"}, True),
        ({"status": "refunded"}, True),
        ({"status": "processed", "status_detail": "accredited"}, False),
    ],
)
def test_the_status_says_whether_an_order_is_refunded_whole(type_: str, status: dict[str, str], whole: bool) -> None:
    totals = [fact.amount for fact in facts_of(type_, {**PAID, **status}) if fact.kind == "refunded_total"]
    assert totals == ([1000] if whole else [])


def test_a_refunded_order_without_a_status_is_refunded_whole() -> None:
    assert facts_of("order.refunded", PAID)[-1] == Fact("refunded_total", 1000, "BRL")
    assert "refunded_total" not in {fact.kind for fact in facts_of("order.processed", PAID)}


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ({}, ["dispute_opened", "funds_withdrawn"]),
        ({"status": "in_process"}, ["dispute_opened", "funds_withdrawn"]),
        ({"status_detail": "settled"}, ["dispute_lost", "funds_withdrawn"]),
        ({"status": "reimbursed"}, ["dispute_won", "funds_withdrawn", "funds_reinstated"]),
    ],
)
@pytest.mark.parametrize("is_of_the_order", [True, False])
def test_a_chargeback_withholds_its_amount_until_it_is_reimbursed(
    state: dict[str, str], kinds: list[str], is_of_the_order: bool
) -> None:
    chargeback = {"id": 217, "amount": "4.00", **({} if is_of_the_order else state)}
    order = {"status": "charged_back", "transactions": {"chargebacks": [chargeback]}}
    if is_of_the_order:
        order["status_detail"] = next(iter(state.values()), "")
    assert facts_of("order.charged_back", order) == [Fact(kind, 400, "BRL", "217") for kind in kinds]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "transactions",
    [None, [], {}, {"chargebacks": None}, {"chargebacks": [{"id": "1"}]}, {"chargebacks": [{"amount": "1.00"}]}],
)
def test_a_chargeback_without_an_amount_is_incomplete(transactions: object) -> None:
    with pytest.raises(IncompleteError):
        facts_of("order.charged_back", {"transactions": transactions})


@pytest.mark.parametrize("transactions", [None, [], {}, {"payments": None}, {"payments": [], "refunds": {}}])
def test_an_order_without_payments_moves_nothing(transactions: object) -> None:
    assert facts_of("order.processed", {"transactions": transactions}) == []


def test_a_payment_without_an_amount_is_never_half_booked() -> None:
    with pytest.raises(IncompleteError, match="no amount"):
        facts_of("order.processed", {"transactions": {"payments": [PAYMENT, {"id": "P2", "status": "processed"}]}})


def test_the_recorded_orders_give_no_facts_without_the_setting() -> None:
    for recording in recordings("mercadopago"):
        if recording.event().type in TYPES:
            with pytest.raises(IncompleteError):
                extract_facts(replace(recording.event(), headers={}))
