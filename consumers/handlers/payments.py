"""The built-in projection: what events tell about payments, joined into `payments`. It enters by the guests' door."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from consumers.handlers import Connection, Handlers, Reject
from consumers.money import BIGINT_MAX, MoneyError, minor_units
from contract.event import Event
from sql import load

PAYMENTS = load("payments")

MinorUnits = Annotated[int, Field(ge=0, le=BIGINT_MAX, strict=True)]
Currency = Annotated[str, StringConstraints(to_upper=True, pattern="^[A-Za-z]{3}$")]


_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
"""An amount written as text."""


def _decimal(amount: object) -> object:
    """Takes numbers that `_exactly` read, and text that says no more than a number."""
    if isinstance(amount, str) and _DECIMAL.fullmatch(amount):
        return Decimal(amount)
    if not isinstance(amount, Decimal):
        raise ValueError("not a decimal number")  # noqa: TRY004 - pydantic makes its error of a ValueError
    return amount


def _exactly(body: bytes) -> object:
    """The JSON value with every number as a Decimal: pydantic's own JSON reader goes through floats."""
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_int=Decimal)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise Reject(f"the body is not the JSON its provider documents: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Fact:
    """What one event tells about one payment. Amounts are totals in minor units: they only grow."""

    currency: str
    amount: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    final_amount: int | None = None
    authorized: bool = False
    succeeded: bool = False
    failed: bool = False
    canceled: bool = False


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class StripeObject(_Model):
    """The parts of a payment intent, a charge or a dispute that tell about money (https://docs.stripe.com/api)."""

    amount: MinorUnits
    currency: Currency
    amount_received: MinorUnits | None = None
    amount_captured: MinorUnits | None = None
    amount_refunded: MinorUnits = 0
    captured: bool = True

    @property
    def received(self) -> int:
        """What a succeeded payment intent brought in."""
        return self.amount if self.amount_received is None else self.amount_received

    @property
    def taken(self) -> int:
        """What was captured of a charge; old API versions tell it by the flag `captured` alone."""
        if self.amount_captured is None:
            return self.amount if self.captured else 0
        return self.amount_captured


class StripeData(_Model):
    """`data` of a Stripe event."""

    object: StripeObject


class StripeEvent(_Model):
    """A Stripe event of a type in `STRIPE_FACTS`."""

    data: StripeData


class HmacEvent(_Model):
    """The in-house event: amounts in major units, as a number or a string, never handled as a float."""

    status: Literal["COMPLETED", "FAILED", "PENDING"]
    amount: Annotated[Decimal, BeforeValidator(_decimal)]
    currency: Currency


STRIPE_FACTS: dict[str, Callable[[StripeObject], Fact]] = {
    "payment_intent.created": lambda o: Fact(o.currency, amount=o.amount),
    "payment_intent.processing": lambda o: Fact(o.currency, amount=o.amount),
    "payment_intent.requires_action": lambda o: Fact(o.currency, amount=o.amount),
    "payment_intent.amount_capturable_updated": lambda o: Fact(o.currency, amount=o.amount, authorized=True),
    "payment_intent.payment_failed": lambda o: Fact(o.currency, amount=o.amount, failed=True),
    "payment_intent.canceled": lambda o: Fact(o.currency, amount=o.amount, canceled=True),
    "payment_intent.succeeded": lambda o: Fact(
        o.currency, amount=o.amount, captured=o.received, final_amount=o.received, succeeded=True
    ),
    "charge.pending": lambda o: Fact(o.currency, amount=o.amount),
    "charge.failed": lambda o: Fact(o.currency, amount=o.amount, failed=True),
    "charge.succeeded": lambda o: Fact(
        o.currency,
        amount=o.amount,
        captured=o.taken,
        authorized=True,
        succeeded=o.captured,
    ),
    "charge.captured": lambda o: Fact(o.currency, amount=o.amount, captured=o.taken, succeeded=True),
    "charge.refunded": lambda o: Fact(
        o.currency, amount=o.amount, captured=o.taken, refunded=o.amount_refunded, succeeded=True
    ),
    "charge.dispute.created": lambda o: Fact(o.currency, disputed=o.amount),
}
"""Stripe's event types that tell about a payment. All others are recorded, and move nothing."""


def stripe_fact(event: Event) -> Fact | None:
    """What a Stripe event tells, or None for a type that tells nothing about money."""
    tell = STRIPE_FACTS.get(event.type)
    return tell(StripeEvent.model_validate_json(event.body).data.object) if tell else None


def hmac_fact(event: Event) -> Fact:
    """What an in-house event tells."""
    told = HmacEvent.model_validate(_exactly(event.body))
    amount = minor_units(told.amount, told.currency)
    if told.status == "COMPLETED":
        return Fact(told.currency, amount=amount, captured=amount, final_amount=amount, succeeded=True)
    return Fact(told.currency, amount=amount, failed=told.status == "FAILED")


FACTS: dict[str, Callable[[Event], Fact | None]] = {"stripe": stripe_fact, "hmac": hmac_fact}
"""How to read a provider's events. Events of the others are recorded, and move nothing."""


def fact_of(event: Event) -> Fact | None:
    """What the event tells about its payment. Raises Reject for money that cannot be booked, ValidationError."""
    try:
        read = FACTS.get(event.provider)
        return read(event) if read else None
    except MoneyError as error:
        raise Reject(str(error)) from error


async def project(connection: Connection, events: Sequence[Event]) -> None:
    """Joins what a batch tells into `payments`, in one statement."""
    told = [(event, fact) for event in events if (fact := fact_of(event)) is not None]
    if not told:
        return
    rows = [_row(event, fact) for event, fact in told]
    await connection.execute(PAYMENTS["merge_payments"], *map(list, zip(*rows, strict=True)))


def _row(event: Event, fact: Fact) -> tuple[str | int | bool | datetime | None, ...]:
    return (
        event.namespace, event.resource, event.provider, fact.currency, fact.amount, fact.captured, fact.refunded,
        fact.disputed, fact.final_amount, fact.authorized, fact.succeeded, fact.failed, fact.canceled,
        event.occurred_at,
    )  # fmt: skip


HANDLERS = Handlers(project)
"""The built-in handlers."""
