"""The sample events of `make demo`: whole payments, told by signed events, and what must become of them."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from providers import signing

CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3}
"""Digits after the point: three that differ, because that is where money goes wrong."""

PATHS = {"stripe": "/webhooks/stripe", "default": "/webhook"}
"""Where the events of each source go."""

Part = Literal["provider", "merchant", "disputes"]
"""An account, by the part it plays; its name is a setting of the source."""


@dataclass(frozen=True, slots=True, order=True)
class Outcome:
    """What must stand in `payments` at the end. Amounts are minor units."""

    payment_id: str
    status: str
    currency: str
    captured: int
    refunded: int
    disputed: int


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that must have moved, once."""

    name: str
    debit: Part
    credit: Part
    amount: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One event, ready to be signed and sent."""

    source: str
    event_id: str
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """Where it is sent."""
        return PATHS[self.source]

    def headers(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """Signed now, as its provider would."""
        if self.source == "default":
            digest = signing.hmac_sha256(secrets["WEBHOOK_SECRET"].encode(), self.body)
            return {"X-Signature": digest.hex()}
        at = str(int(time.time()))
        digest = signing.hmac_sha256(secrets["STRIPE_WEBHOOK_SECRET"].encode(), at.encode() + b"." + self.body)
        return {"Stripe-Signature": f"t={at},v1={digest.hex()}"}


@dataclass(frozen=True, slots=True)
class Story:
    """One payment: the events that tell of it, in the order they happened, and what must become of it.

    `movements` is what must be booked. `contradicted` is a movement that was told with two amounts: whichever came
    first is booked, and of what came later nothing.
    """

    events: Sequence[Sample]
    outcome: Outcome
    movements: Sequence[Movement]
    contradicted: str = ""


def shuffled(events: Sequence[Sample], times: int, chance: random.Random) -> list[Sample]:
    """Every event so many times, in any order; each begins somewhere, so that new ones come up until near the end."""
    placed = []
    for event in events:
        first = chance.random()
        placed += [(chance.uniform(first, 1), event) for _ in range(times)]
    return [event for _, event in sorted(placed, key=lambda pair: pair[0])]


def major_units(minor: int, currency: str) -> str:
    """1234 EUR → `12.34`; never by way of a float."""
    return f"{Decimal(minor).scaleb(-CURRENCIES[currency]):,f}"
