"""The in-house event of provider `hmac`: one state of one transaction, with its amount in major units."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator

from contract.money import CURRENCIES
from providers.models import Currency, MajorUnits, Model

AMOUNT_WHOLE_DIGITS_MAX = 15
AMOUNT_DECIMALS_MAX = 6
"""Both limit what an exponent can do, and keep a sum in the minor units of any currency within a bigint."""


def _within_limits(amount: Decimal) -> Decimal:
    decimals = -int(amount.as_tuple().exponent)
    if amount < 0 or amount.adjusted() >= AMOUNT_WHOLE_DIGITS_MAX or decimals > AMOUNT_DECIMALS_MAX:
        raise ValueError(
            f"not an amount from 0 with at most {AMOUNT_WHOLE_DIGITS_MAX} digits before the point "
            f"and {AMOUNT_DECIMALS_MAX} after it"
        )
    return amount


def _known(currency: str) -> str:
    """Accept what can be booked: NAN, three letters as well, is what a broken sender makes of a missing currency."""
    if currency not in CURRENCIES:
        raise ValueError("not a currency code of ISO 4217")
    return currency


class Money(Model):
    """The amount. A source that has field paths of its own may send it without the rest of an `Event`."""

    amount: MajorUnits
    currency: Currency


class Event(Money):
    """The whole event. Read it with `loads_decimal`: no number of it may pass through a float."""

    transaction_id: str
    status: Literal["COMPLETED", "FAILED", "PENDING"]
    amount: Annotated[MajorUnits, AfterValidator(_within_limits)]
    currency: Annotated[Currency, AfterValidator(_known)]
    timestamp: Decimal | str | None = None
    event_id: str | None = None
