"""Money as integers: conversion between major units, as people write them, and the minor units of ISO 4217."""

from collections.abc import Mapping
from decimal import Decimal, Inexact, localcontext

BIGINT_MAX = 2**63 - 1

AMOUNT_MAX = 10**17
"""The largest amount of one fact, in minor units: 10¹⁵ euros. A payment's sums are 64-bit integers, which hold 92 such
amounts (more are refused); sums over many payments are `numeric`, which has no limit."""

DIGITS_MAX = 60
"""The precision of conversions, far more than any amount needs. Longer numbers are refused, never rounded."""

_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE "
    "SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW "
    "ZWG HRK CUC MRO SLL STD VEF ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

_EXPONENTS = {code: exponent for exponent, codes in _CODES.items() for code in codes.split()}
"""Digits after the point per currency. Source: ISO 4217 list one (published by SIX, the maintenance agency), the codes
active in 2025, without those for tests, metals and `no currency`. ANG, BGN and the last ones of two digits were
replaced in or after 2016: they are kept for late events, and because providers still list some (Stripe lists STD)."""

CURRENCIES: frozenset[str] = frozenset(_EXPONENTS)
"""The codes that can be booked. The database has the same list (constraint `currency_is_known`)."""


class MoneyError(ValueError):
    """The amount cannot be booked. The text is safe to show."""


def minor_units(amount: Decimal, currency: str) -> int:
    """Convert major units to an integer of minor units: 12.34 EUR → 1234, 12 JPY → 12.

    Raise MoneyError for an unknown currency, a fraction of a minor unit, and an amount that is not finite, is negative
    or larger than AMOUNT_MAX.
    """
    exponent = _EXPONENTS.get(currency)
    if exponent is None:
        raise _unknown(currency)
    if not amount.is_finite() or amount < 0 or amount.adjusted() > 20:
        raise _outside_limits()
    with localcontext(prec=DIGITS_MAX) as context:
        context.clear_flags()
        minor = amount.scaleb(exponent)
        if context.flags[Inexact] or minor != minor.to_integral_value():
            raise MoneyError(f"the amount has more than {exponent} digits after the point, the most {currency} has")
    if minor > AMOUNT_MAX:
        raise _outside_limits()
    return int(minor)


def iso_minor_units(amount: int, currency: str, exponents: Mapping[str, int]) -> int:
    """Convert a provider's minor units to those of ISO 4217. `exponents`: its decimals, where they are others.

    Raise MoneyError for a fraction of a minor unit.
    """
    exponent = exponents.get(currency)
    return amount if exponent is None else minor_units(Decimal(amount).scaleb(-exponent), currency)


def check_bookable(amount: int, currency: str) -> None:
    """Raise MoneyError for an unknown currency, and for an amount that sums could not hold."""
    if currency not in _EXPONENTS:
        raise _unknown(currency)
    if not 0 <= amount <= AMOUNT_MAX:
        raise _outside_limits()


def _unknown(currency: str) -> MoneyError:
    return MoneyError(f"{currency!r} is not a currency code of ISO 4217")


def _outside_limits() -> MoneyError:
    return MoneyError(f"the amount is not between 0 and {AMOUNT_MAX} minor units")


def major_units(minor: int, currency: str) -> str | None:
    """Format minor units as major units: 1234 EUR → `12.34`, 12 JPY → `12`; None for an unknown currency."""
    exponent = _EXPONENTS.get(currency)
    return None if exponent is None else f"{Decimal(minor).scaleb(-exponent):f}"


def format_amount(minor: int, currency: str) -> str:
    """Format an amount with its currency: `12.34 EUR`; in minor units if the currency is unknown."""
    major = major_units(minor, currency)
    return f"{minor} minor units of {currency}" if major is None else f"{major} {currency}"
