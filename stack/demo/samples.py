"""The sample events of `make demo`: whole payments as signed events, and the rows they must lead to."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from providers import signing

CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3}
"""Currencies and their number of decimals. They differ, because a wrong number of decimals is a common bug."""

PATHS = {"stripe": "/webhooks/stripe", "default": "/webhook"}
"""Where the events of each source go."""

Part = Literal["provider", "merchant", "disputes"]
"""The role of an account. Its name is a setting of the source."""


@dataclass(frozen=True, slots=True, order=True)
class PaymentRow:
    """A row of the table `payments`. Amounts are in minor units."""

    payment_id: str
    status: str
    currency: str
    captured: int
    refunded: int
    disputed: int


@dataclass(frozen=True, slots=True)
class ExpectedTransfer:
    """A transfer that must be booked, once. The amount is in minor units."""

    transfer_key: str
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
        """The path of the endpoint it is sent to."""
        return PATHS[self.source]

    def headers(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """Return the headers, signed now as the provider would sign them."""
        if self.source == "default":
            digest = signing.hmac_sha256(secrets["WEBHOOK_SECRET"].encode(), self.body)
            return {"X-Signature": digest.hex()}
        at = str(int(time.time()))
        digest = signing.hmac_sha256(secrets["STRIPE_WEBHOOK_SECRET"].encode(), at.encode() + b"." + self.body)
        return {"Stripe-Signature": f"t={at},v1={digest.hex()}"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One payment: its events in the order they happened, and the row and transfers they must lead to.

    `conflicting_key` is the key of a transfer that was reported with two amounts. The first to arrive is booked; the
    facts that arrive later are on hold.
    """

    events: Sequence[Sample]
    payment: PaymentRow
    transfers: Sequence[ExpectedTransfer]
    conflicting_key: str = ""


def shuffled(events: Sequence[Sample], times: int, chance: random.Random) -> list[Sample]:
    """Return every event `times` times in random order. New events keep appearing until near the end."""
    placed = []
    for event in events:
        first = chance.random()
        placed += [(chance.uniform(first, 1), event) for _ in range(times)]
    return [event for _, event in sorted(placed, key=lambda pair: pair[0])]


def major_units(minor: int, currency: str) -> str:
    """Return minor units as text, 1234 EUR as `12.34`, without using a float."""
    return f"{Decimal(minor).scaleb(-CURRENCIES[currency]):,f}"
