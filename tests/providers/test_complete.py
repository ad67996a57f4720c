"""What a sender left out of an event about money, and what cannot be right in it, are different errors."""

import json

import pytest
from pydantic import ValidationError

from providers.complete import OrEmpty, read_complete, read_complete_json
from providers.facts import IncompleteError
from providers.models import Currency, MinorUnits, Model


class Money(Model):
    amount: MinorUnits
    currency: Currency


class Totals(Model):
    refunded: MinorUnits = 0


class Order(Model):
    money: Money
    totals: OrEmpty[Totals] = Totals()


@pytest.mark.parametrize(
    ("body", "absent"),
    [
        ({}, "money"),
        ({"money": None}, "money"),
        ({"money": []}, "money"),
        ({"money": "10 EUR"}, "money"),
        ({"money": {}}, "money.amount, money.currency"),
        ({"money": {"amount": None, "currency": "EUR"}}, "money.amount"),
        ([], "object"),
        (None, "object"),
        ("text", "object"),
    ],
)
def test_an_absent_part_is_named(body: object, absent: str) -> None:
    with pytest.raises(IncompleteError, match=f"^the body has no {absent}$"):
        read_complete(Order, body)
    with pytest.raises(IncompleteError, match=f"^the body has no {absent}$"):
        read_complete_json(Order, json.dumps(body).encode())


@pytest.mark.parametrize(
    "money", [{"amount": "x"}, {"amount": -1, "currency": "EUR"}, {"amount": 1, "currency": "EURO"}, {"amount": {}}]
)
def test_a_part_that_cannot_be_right_is_refused(money: object) -> None:
    with pytest.raises(ValidationError):
        read_complete(Order, {"money": money})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        read_complete_json(Order, body)


@pytest.mark.parametrize("totals", [None, [], {}])
def test_an_empty_array_or_null_is_an_empty_object(totals: object) -> None:
    assert read_complete(Order, {"money": {"amount": 1, "currency": "EUR"}, "totals": totals}).totals == Totals()


def test_an_array_with_items_is_no_object() -> None:
    with pytest.raises(IncompleteError):
        read_complete(Order, {"money": {"amount": 1, "currency": "EUR"}, "totals": [1]})
