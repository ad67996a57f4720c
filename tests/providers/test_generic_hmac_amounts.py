"""The in-house event: amounts are read exactly, and amounts that cannot be booked are refused."""

import json

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.base import PayloadError
from providers.facts import UnreadableError
from providers.generic_hmac.facts import extract_facts
from tests.support.events import contract_event, hmac_event
from tests.support.provider_cases import CASES


def in_house(body: bytes, status: str = "pending") -> Event:
    return contract_event("t:1", "t", provider="hmac", type=f"payment.{status}", body=body)


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("COMPLETED", Fact("captured", 1999, "EUR", "t")),
        ("FAILED", Fact("failed", 1999, "EUR")),
        ("PENDING", Fact("pending", 1999, "EUR")),
    ],
)
def test_each_status_gives_one_fact(status: str, fact: Fact) -> None:
    body = json.dumps(hmac_event("t", status)).encode()
    assert extract_facts(in_house(body, status.lower())) == (fact,)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("19.99", "EUR", 1999),
        ('"19.99"', "eur", 1999),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("1e2", "EUR", 10_000),
        ("999999999999999.99", "EUR", 99_999_999_999_999_999),
        ("12345678901234.567", "KWD", 12_345_678_901_234_567),
        ("0.1", "EUR", 10),
        ("1.1", "EUR", 110),
        ("4.35", "EUR", 435),
    ],
)
def test_an_in_house_amount_is_never_a_float(amount: str, currency: str, minor: int) -> None:
    body = f'{{"transaction_id": "t", "status": "PENDING", "amount": {amount}, "currency": "{currency}"}}'
    assert extract_facts(in_house(body.encode())) == (Fact("pending", minor, currency.upper()),)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("19.999", "EUR"), ("0.5", "JPY"), ("1e400", "EUR"), ("-1", "EUR"), ('"-1"', "EUR"), ("NaN", "EUR"),
        ("Infinity", "EUR"), ('"NaN"', "EUR"), ('"1_000"', "EUR"), ('" 1"', "EUR"), ('"1,5"', "EUR"), ('"1e3"', "EUR"),
        ('"\\u0661"', "EUR"), ("true", "EUR"), ("null", "EUR"), ("[0,[1],2]", "EUR"), ("{}", "EUR"), ("1", "ZZZ"),
        ("1", "EURO"), ("1e999999999999999999999", "EUR"), ("9" * 5000, "EUR"),
    ],
)  # fmt: skip
def test_an_in_house_amount_that_cannot_be_booked_is_refused(amount: str, currency: str) -> None:
    body = f'{{"transaction_id": "t", "status": "PENDING", "amount": {amount}, "currency": "{currency}"}}'
    with pytest.raises((UnreadableError, MoneyError, ValidationError)):
        extract_facts(in_house(body.encode()))


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("10.999", "EUR"), ("10.5", "JPY"), ("1.2345", "KWD"), ("999999999999999", "KWD"), ("1e16", "EUR"), ("-1", "EUR")],
)
async def test_an_amount_that_no_worker_could_book_is_a_bad_payload(amount: str, currency: str) -> None:
    case = CASES["hmac"]
    body = f'{{"transaction_id": "t", "status": "COMPLETED", "amount": {amount}, "currency": "{currency}"}}'
    with pytest.raises(PayloadError, match="amount"):
        await case.source().verify(case.deliver(body).request())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null", b'{"status": "PENDING"}'])
def test_a_body_that_is_not_an_in_house_event_is_refused(body: bytes) -> None:
    with pytest.raises((UnreadableError, MoneyError, ValidationError)):
        extract_facts(in_house(body))


@pytest.mark.parametrize("currency", ["NAN", "nan", "INF", "NUL", "ZZZ", "XTS"])
async def test_a_code_that_is_no_currency_is_a_bad_payload(currency: str) -> None:
    case = CASES["hmac"]
    body = json.dumps(hmac_event("t", currency=currency))
    with pytest.raises(PayloadError, match="currency"):
        await case.source().verify(case.deliver(body).request())
