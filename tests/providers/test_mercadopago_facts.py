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
from providers.facts import UnreadableError
from providers.mercadopago.facts import TYPES, extract_facts
from tests.support.cases.base import NOW
from tests.support.recorded import recordings

DOCUMENTED_ERRORS = (ValidationError, MoneyError, UnreadableError)
BRL = {"currency": "BRL"}
PAYMENT = {"id": "PAY1", "amount": "30.00", "paid_amount": "28.50", "status": "processed"}
REFUND = {"id": "REF1", "transaction_id": "PAY1", "amount": "10.00"}


def event(type_: str, body: bytes, headers: Mapping[str, str] = BRL) -> Event:
    return Event("a", "a", "mercadopago", "e_1", type_, "ord1", NOW, NOW, "reference", body, headers)


def facts_of(type_: str, order: Mapping[str, Any], headers: Mapping[str, str] = BRL) -> list[Fact]:
    return list(extract_facts(event(type_, json.dumps({"data": {"id": "ORD1", **order}}).encode(), headers)))


def test_without_a_currency_there_are_no_facts_and_no_body_is_read() -> None:
    for type_ in TYPES:
        assert list(extract_facts(event(type_, b"not read", {"data.id": "ORD1"}))) == []


def test_the_currency_decides_what_an_amount_is() -> None:
    order = {"total_amount": "1500"}
    assert facts_of("order.failed", order) == [Fact("failed", 150_000, "BRL")]
    assert facts_of("order.failed", order, {"currency": "CLP"}) == [Fact("failed", 1500, "CLP")]
    with pytest.raises(MoneyError):
        facts_of("order.failed", {"total_amount": "15.50"}, {"currency": "CLP"})
    with pytest.raises(MoneyError):
        facts_of("order.failed", order, {"currency": "ZZZ"})


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


def test_the_recorded_orders_give_no_facts_without_the_setting() -> None:
    for recording in recordings("mercadopago"):
        assert list(extract_facts(replace(recording.event(), headers={}))) == []
