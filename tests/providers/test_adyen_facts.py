"""Adyen: refused requests move nothing, failures name what they undo, and amounts become those of ISO 4217."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import BIGINT_MAX
from providers.adyen import facts as adyen
from providers.facts import IncompleteError, UnreadableError
from tests.support.cases.base import NOW


def read(code: str, value: object = 1000, currency: str = "EUR", psp: str = "PSP1", **changes: Any) -> Sequence[Fact]:
    item = {
        "eventCode": code,
        "pspReference": psp,
        "originalReference": "PAY1",
        "amount": {"value": value, "currency": currency},
        "success": "true",
        **changes,
    }
    body = json.dumps({"NotificationRequestItem": item}).encode()
    return adyen.extract_facts(Event("a", "a", "adyen", "e", code, "PAY1", NOW, NOW, "fields", body))


@pytest.mark.parametrize("code", adyen.TYPES)
def test_a_refused_request_moves_nothing(code: str) -> None:
    assert list(read(code, success="false")) == ([Fact("failed", 1000, "EUR")] if code == "AUTHORISATION" else [])


@pytest.mark.parametrize(
    ("failure", "request_", "undone", "made"),
    [
        ("CAPTURE_FAILED", "CAPTURE", "capture_failed", "captured"),
        ("REFUND_FAILED", "REFUND", "refund_failed", "refunded"),
        ("REFUNDED_REVERSED", "REFUND", "refund_failed", "refunded"),
    ],
)
def test_a_failure_names_the_transfer_that_it_undoes(failure: str, request_: str, undone: str, made: str) -> None:
    (before,), (after,) = read(request_), read(failure)
    assert (before.kind, after.kind) == (made, undone)
    assert (before.object, before.amount, before.currency) == (after.object, after.amount, after.currency)


def test_each_request_is_a_capture_or_refund_of_its_own() -> None:
    for code in ("CAPTURE", "REFUND"):
        assert {fact.object for psp in ("A", "B", "A") for fact in read(code, psp=psp)} == {"A", "B"}


def test_a_second_chargeback_takes_the_money_again() -> None:
    """All events of a dispute have one reference, and each transfer is booked once, under a name of its own."""
    first, again, second = read("CHARGEBACK"), read("CHARGEBACK_REVERSED"), read("SECOND_CHARGEBACK")
    assert [*first, *again, *second] == [
        Fact("dispute_opened", 1000, "EUR", "PSP1"),
        Fact("funds_withdrawn", 1000, "EUR", "PSP1"),
        Fact("funds_reinstated", 1000, "EUR", "PSP1"),
        Fact("dispute_lost", 1000, "EUR", "PSP1"),
        Fact("funds_withdrawn", 1000, "EUR", "PSP1:2", dispute="PSP1"),
    ]


def test_an_adjustment_is_an_authorization_with_a_name_of_its_own() -> None:
    assert list(read("AUTHORISATION")) == [Fact("authorized", 1000, "EUR")]
    assert list(read("AUTHORISATION_ADJUSTMENT", 1500, psp="ADJ1")) == [Fact("authorized", 1500, "EUR", "ADJ1")]


@pytest.mark.parametrize(
    ("currency", "value", "minor"),
    [
        ("CLP", 1_999_000, 19_990),
        ("ISK", 12_300, 123),
        ("CVE", 1_000, 100_000),
        ("IDR", 25_000, 2_500_000),
        ("JPY", 500, 500),
        ("KWD", 1_234, 1_234),
        ("eur", 5, 5),
        ("CLP", 0, 0),
        ("EUR", BIGINT_MAX, BIGINT_MAX),
    ],
)
def test_amounts_become_minor_units_of_iso_4217(currency: str, value: int, minor: int) -> None:
    assert list(read("CAPTURE", value, currency)) == [Fact("captured", minor, currency.upper(), "PSP1")]


@pytest.mark.parametrize(("currency", "value"), [("CLP", 1_999_001), ("ISK", 1), ("IDR", BIGINT_MAX), ("CVE", 10**17)])
def test_an_amount_that_has_no_such_minor_units_is_refused(currency: str, value: int) -> None:
    with pytest.raises(UnreadableError, match="ISO 4217"):
        read("CAPTURE", value, currency)


@pytest.mark.parametrize(
    "changes",
    [
        {"value": -1},
        {"value": "1000"},
        {"value": 1.0},
        {"value": True},
        {"currency": ""},
        {"success": True},
        {"success": "TRUE"},
        {"psp": ""},
        {"psp": "x" * 254},
    ],
)
def test_fields_of_another_kind_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read("CAPTURE", **changes)


@pytest.mark.parametrize("amount", [None, [], {}, {"value": 1000}, {"value": 1000, "currency": None}, "EUR 1000"])
@pytest.mark.parametrize("code", adyen.TYPES)
def test_an_item_without_an_amount_is_incomplete(code: str, amount: object) -> None:
    with pytest.raises(IncompleteError):
        read(code, amount=amount)


@pytest.mark.parametrize("additional", [None, {}, {"modification.action": None}, {"modification.action": "other"}])
def test_a_reversal_must_say_whether_it_canceled_or_refunded(additional: object) -> None:
    with pytest.raises(IncompleteError, match="canceled or refunded"):
        read("CANCEL_OR_REFUND", additionalData=additional)


@pytest.mark.parametrize(
    "code",
    ["POSTPONED_REFUND", "VOID_PENDING_REFUND", "REQUEST_FOR_INFORMATION", "NOTIFICATION_OF_FRAUD", "ORDER_CLOSED"],
)
def test_codes_before_any_money_moves_give_no_facts(code: str) -> None:
    assert list(read(code)) == []
