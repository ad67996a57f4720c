"""Major units to minor units: exact, or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.money import (
    AMOUNT_MAX,
    BIGINT_MAX,
    CURRENCIES,
    MoneyError,
    check_bookable,
    format_amount,
    major_units,
    minor_units,
)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.34", "EUR", 1234),
        ("12", "EUR", 1200),
        ("12.3", "EUR", 1230),
        ("12.340000", "EUR", 1234),
        ("0", "EUR", 0),
        ("-0", "EUR", 0),
        ("1E+2", "EUR", 10_000),
        ("1200", "JPY", 1200),
        ("1200.0", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12_345),
        ("1E+15", "EUR", AMOUNT_MAX),
        ("999999999999999.99", "EUR", 99_999_999_999_999_999),
        ("0." + "0" * 50, "EUR", 0),
    ],
)
def test_an_amount_in_minor_units(amount: str, currency: str, minor: int) -> None:
    assert minor_units(Decimal(amount), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("12.345", "EUR"),
        ("0.5", "JPY"),
        ("1.2345", "KWD"),
        ("12.34" + "0" * 30 + "1", "EUR"),
        ("1E-999999", "EUR"),
        ("-0.01", "EUR"),
        ("-1", "JPY"),
        ("1000000000000000.01", "EUR"),
        ("1E+400", "EUR"),
        ("0E+999999", "EUR"),
        ("9" * 1000, "EUR"),
        ("NaN", "EUR"),
        ("sNaN", "EUR"),
        ("Infinity", "EUR"),
        ("1", "EURO"),
        ("1", "eur"),
        ("1", ""),
        ("1", "ZZZ"),
        ("1", "NAN"),
        ("1", "XTS"),
    ],
)
def test_an_amount_that_cannot_be_booked_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        minor_units(Decimal(amount), currency)


@given(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
def test_an_amount_is_exact_or_refused(amount: Decimal, currency: str) -> None:
    exponent = {"JPY": 0, "EUR": 2, "KWD": 3, "CLF": 4}[currency]
    try:
        minor = minor_units(amount, currency)
    except MoneyError:
        return
    assert 0 <= minor <= AMOUNT_MAX
    assert Decimal(minor).scaleb(-exponent) == amount


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1999, "EUR", "19.99 EUR"), (5, "EUR", "0.05 EUR"), (0, "KWD", "0.000 KWD"), (12, "JPY", "12 JPY"),
        (BIGINT_MAX, "EUR", "92233720368547758.07 EUR"), (7, "XYZ", "7 minor units of XYZ"),
    ],
)  # fmt: skip
def test_an_amount_as_people_write_it(minor: int, currency: str, text: str) -> None:
    assert format_amount(minor, currency) == text
    assert major_units(minor, currency) == (None if currency == "XYZ" else text.removesuffix(f" {currency}"))


@pytest.mark.parametrize(("amount", "currency"), [(0, "EUR"), (AMOUNT_MAX, "KWD"), (1, "BGN")])
def test_an_amount_within_the_limits_is_bookable(amount: int, currency: str) -> None:
    check_bookable(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency"), [(-1, "EUR"), (AMOUNT_MAX + 1, "EUR"), (1, "NAN"), (1, "ZZZ"), (1, ""), (1, "eur")]
)
def test_what_sums_cannot_hold_is_refused_with_a_sentence(amount: int, currency: str) -> None:
    with pytest.raises(MoneyError, match=r"is not (between 0 and 100000000000000000|a currency code of ISO 4217)"):
        check_bookable(amount, currency)


def test_sums_of_a_payment_hold_the_largest_amount_many_times() -> None:
    assert AMOUNT_MAX * 90 < BIGINT_MAX


def test_no_code_is_a_placeholder_for_something_else() -> None:
    assert CURRENCIES.isdisjoint({"NAN", "X" * 3, "XTS", "XAU", "XAG", "NUL"})
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
