"""Mollie: captures with events of their own, "simple" payloads, and amounts as text in major units."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.facts import IncompleteError
from providers.mollie import facts as mollie
from tests.support.cases.base import NOW


def read_body(type_: str, body: Mapping[str, object]) -> Sequence[Fact]:
    content = json.dumps({"id": "e", "type": type_, **body}).encode()
    return mollie.extract_facts(Event("m", "m", "mollie", "e", type_, "tr_1", NOW, NOW, "body", content))


def read(type_: str, value: object = "10.00", currency: str = "EUR", id_: str = "tr_1", **more: Any) -> Sequence[Fact]:
    entity = {"id": id_, "amount": {"value": value, "currency": currency}, **more}
    return read_body(type_, {"_embedded": {"entity": entity}})


def captured(amount: int, currency: str, object_: str) -> Fact:
    return Fact("captured", amount, currency, object_, either_whole_or_parts=True)


@pytest.mark.parametrize("type_", mollie.TYPES)
@pytest.mark.parametrize("body", [{}, {"entityId": "tr_1"}, {"_embedded": None}])
def test_a_simple_payload_leaves_the_money_out(type_: str, body: dict[str, object]) -> None:
    with pytest.raises(IncompleteError, match="_embedded"):
        read_body(type_, body)


@pytest.mark.parametrize("type_", mollie.TYPES)
@pytest.mark.parametrize(
    "embedded", [{}, [], {"entity": None}, {"entity": {}}, {"entity": {"id": "tr_1"}}, {"payment": {"id": "tr_1"}}]
)
def test_an_entity_without_an_amount_is_incomplete(type_: str, embedded: object) -> None:
    with pytest.raises(IncompleteError):
        read_body(type_, {"_embedded": embedded})


@pytest.mark.parametrize(
    "apart",
    [
        {"captureMode": "manual"},
        {"captureMode": "automatic", "_links": {"captures": {"href": "x"}}},
        {"captureMode": "automatic", "captureDelay": "2 days"},
        {"captureMode": "automatic", "authorizedAt": "2026-05-05T16:20:44+00:00"},
        {"amountCaptured": {"value": "10.00", "currency": "EUR"}},
    ],
)
def test_a_payment_with_captures_is_not_captured_twice(apart: dict[str, Any]) -> None:
    assert list(read("payment.paid", **apart)) == [Fact("authorized", 1000, "EUR")]
    captures = [*read("capture.succeeded", "6.00", id_="cpt_1"), *read("capture.succeeded", "3.00", id_="cpt_2")]
    assert captures == [captured(600, "EUR", "cpt_1"), captured(300, "EUR", "cpt_2")]


@pytest.mark.parametrize(
    "at_once", [{}, {"captureMode": None}, {"captureMode": "automatic"}, {"_links": {"self": {}}}, {"_links": []}]
)
def test_a_payment_without_captures_is_captured_whole(at_once: dict[str, Any]) -> None:
    assert list(read("payment.paid", **at_once)) == [captured(1000, "EUR", "tr_1")]


@pytest.mark.parametrize("type_", ["refund.queued", "refund.pending", "refund.processing", "refund.canceled"])
def test_a_pending_refund_has_moved_nothing(type_: str) -> None:
    assert list(read(type_)) == []


def test_a_failed_refund_undoes_the_refund() -> None:
    (made,), (undone,) = read("refund.refunded", id_="re_1"), read("refund.failed", id_="re_1")
    assert (made.kind, undone.kind) == ("refunded", "refund_failed")
    assert (made.object, made.amount, made.currency) == (undone.object, undone.amount, undone.currency)


def test_a_chargeback_takes_the_money_and_its_reversal_returns_it() -> None:
    """A reversal is of the chargeback's whole amount, and proves that it was taken before."""
    taken = [Fact(kind, 1000, "EUR", "chb_1") for kind in ("dispute_opened", "funds_withdrawn")]
    assert list(read("chargeback.received", id_="chb_1")) == taken
    returned = [Fact(kind, 1000, "EUR", "chb_1") for kind in ("dispute_won", "funds_withdrawn", "funds_reinstated")]
    assert list(read("chargeback.reversed", id_="chb_1")) == returned


@pytest.mark.parametrize("type_", ["payment-link.paid", "capture.failed", "payment.created", "profile.blocked"])
def test_other_types_move_nothing(type_: str) -> None:
    assert list(read(type_)) == []


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [("0.00", "EUR", 0), ("0.29", "EUR", 29), ("1500", "JPY", 1500), ("990", "ISK", 990), ("12.50", "HUF", 1250)],
)
def test_amounts_are_exact(value: str, currency: str, amount: int) -> None:
    assert list(read("payment.paid", value, currency)) == [captured(amount, currency, "tr_1")]


@pytest.mark.parametrize(("value", "currency"), [("0.295", "EUR"), ("15.5", "JPY"), ("1.00", "XBT"), ("9" * 20, "EUR")])
def test_an_amount_that_is_no_number_of_minor_units_is_refused(value: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        read("payment.paid", value, currency)


@pytest.mark.parametrize("value", [10, 10.0, -1, "-10.00", "1e3", "", "10,00"])
def test_an_amount_that_mollie_would_not_write_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        read("payment.paid", value)
