"""The in-house event of provider `hmac`: one state of one transaction, with its amount in major units."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from contract.money import CURRENCIES, minor_units
from providers.models import Currency, MajorUnits, Model


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
    currency: Annotated[Currency, AfterValidator(_known)]
    timestamp: Decimal | str | None = None
    event_id: str | None = None

    @model_validator(mode="after")
    def _can_be_booked(self) -> Self:
        """Refuse an amount that the worker could not book: its sender learns of it at once."""
        minor_units(self.amount, self.currency)
        return self
