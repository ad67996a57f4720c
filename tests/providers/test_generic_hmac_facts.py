"""The in-house event: amounts in major units, and types of sources that describe another format."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.facts import IncompleteError, UnreadableError
from providers.generic_hmac.facts import extract_facts
from tests.support.cases.base import NOW


def facts_of(body: bytes, type_: str = "payment.completed") -> list[Fact]:
    return list(extract_facts(Event("a", "a", "hmac", "e_1", type_, "t_1", NOW, NOW, "body", body)))


def amount_of(amount: str, currency: str = "EUR") -> int:
    (fact,) = facts_of(b'{"amount": %b, "currency": "%b"}' % (amount.encode(), currency.encode()))
    return fact.amount


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("0.29", "EUR", 29),
        ('"0.29"', "EUR", 29),
        ("1e2", "EUR", 10000),
        ("12", "JPY", 12),
        ("7.125", "KWD", 7125),
        ("90071992547409.93", "USD", 9007199254740993),
        ('"1.100"', "USD", 110),
    ],
)
def test_amounts_are_exact(written: str, currency: str, minor: int) -> None:
    assert amount_of(written, currency) == minor


@pytest.mark.parametrize(("written", "currency"), [("0.295", "EUR"), ("1.5", "JPY"), ("-1", "EUR"), ("1", "ZZZ")])
def test_an_amount_that_cannot_be_booked_is_refused(written: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        amount_of(written, currency)


@pytest.mark.parametrize("body", [{}, {"amount": None, "currency": "EUR"}, {"currency": "EUR"}, [], 5])
def test_a_body_without_an_amount_is_incomplete(body: Any) -> None:
    with pytest.raises(IncompleteError):
        facts_of(json.dumps(body).encode())


def test_an_amount_of_another_kind_is_refused() -> None:
    with pytest.raises(ValidationError):
        facts_of(b'{"amount": true, "currency": "EUR"}')


def test_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(UnreadableError):
        facts_of(b"amount=1")


def test_a_source_with_types_of_its_own_moves_nothing() -> None:
    assert facts_of(b"amount=1", "invoice.paid") == []
