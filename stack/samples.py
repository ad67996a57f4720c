"""The sample events of `make demo`: whole payments, told by signed events, and what must become of them."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.providers import signing

CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3}
"""Digits after the point: three that differ, because that is where money goes wrong."""

STRIPE_STORIES = {
    "succeeded": ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"],
    "partially_refunded": ["payment_intent.created", "payment_intent.succeeded", "charge.refunded"],
    "refunded": ["payment_intent.created", "payment_intent.succeeded", "charge.refunded"],
    "disputed": ["charge.succeeded", "payment_intent.succeeded", "charge.dispute.created"],
    "failed": ["payment_intent.created", "payment_intent.payment_failed"],
    "canceled": ["payment_intent.created", "payment_intent.canceled"],
    "authorized": ["payment_intent.created", "payment_intent.amount_capturable_updated"],
}
"""How a payment ends → the events that tell of it."""

PLAIN_STORIES = {"succeeded": ["PENDING", "COMPLETED"], "failed": ["PENDING", "FAILED"]}
"""The same for the in-house format of POST /webhook."""

PAID = {"succeeded", "partially_refunded", "refunded", "disputed"}


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
class Sample:
    """One event, ready to be signed and sent."""

    path: str
    event_id: str
    body: bytes = field(repr=False)

    def headers(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """Signed now, as its provider would."""
        if self.path == "/webhook":
            digest = signing.hmac_sha256(secrets["WEBHOOK_SECRET"].encode(), self.body)
            return {"X-Signature": digest.hex()}
        at = str(int(time.time()))
        digest = signing.hmac_sha256(secrets["STRIPE_WEBHOOK_SECRET"].encode(), at.encode() + b"." + self.body)
        return {"Stripe-Signature": f"t={at},v1={digest.hex()}"}


def make(run: str, payments: int, seed: int) -> tuple[list[Sample], list[Outcome]]:
    """The events of so many payments, in the order they happened, and their outcomes. `run` makes their ids new."""
    chance = random.Random(seed)  # noqa: S311 -- samples, not secrets
    samples: list[Sample] = []
    outcomes: list[Outcome] = []
    for number in range(payments):
        plain = number % 4 == 3
        status = chance.choice(list(PLAIN_STORIES if plain else STRIPE_STORIES))
        outcome = _outcome(f"{'tx' if plain else 'pi'}_{run}_{number}", status, chance)
        outcomes.append(outcome)
        samples += (_plain if plain else _stripe)(outcome, chance.randrange(100, 1_000_000))
    return samples, sorted(outcomes)


def shuffled_twice(samples: list[Sample], seed: int) -> list[Sample]:
    """Every event two times, in any order."""
    twice = samples * 2
    random.Random(seed).shuffle(twice)  # noqa: S311 -- samples, not secrets
    return twice


def major_units(minor: int, currency: str) -> str:
    """1234 EUR → `12.34`; never by way of a float."""
    return f"{Decimal(minor).scaleb(-CURRENCIES[currency]):,f}"


def _outcome(payment_id: str, status: str, chance: random.Random) -> Outcome:
    captured = chance.randrange(100, 1_000_000) if status in PAID else 0
    refunded = {"refunded": captured, "partially_refunded": captured // 3}.get(status, 0)
    disputed = captured if status == "disputed" else 0
    return Outcome(payment_id, status, chance.choice(list(CURRENCIES)), captured, refunded, disputed)


def _stripe(outcome: Outcome, unpaid: int) -> Iterator[Sample]:
    amount = outcome.captured or unpaid
    for step, kind in enumerate(STRIPE_STORIES[outcome.status]):
        about: dict[str, Any] = {"amount": amount, "currency": outcome.currency.lower()}
        if kind.startswith("charge"):
            about |= {"id": f"ch_{outcome.payment_id}", "payment_intent": outcome.payment_id}
            about |= {"amount_captured": outcome.captured, "amount_refunded": 0, "captured": True}
        else:
            about |= {"id": outcome.payment_id, "amount_received": outcome.captured}
        if kind == "charge.refunded":
            about["amount_refunded"] = outcome.refunded
        event_id = f"evt_{outcome.payment_id}_{step}"
        event = {"id": event_id, "type": kind, "created": int(time.time()), "data": {"object": about}}
        yield Sample("/webhooks/stripe", event_id, json.dumps(event).encode())


def _plain(outcome: Outcome, unpaid: int) -> Iterator[Sample]:
    amount = Decimal(outcome.captured or unpaid).scaleb(-CURRENCIES[outcome.currency])
    for status in PLAIN_STORIES[outcome.status]:
        event_id = f"{outcome.payment_id}:{status}"
        event = {
            "transaction_id": outcome.payment_id,
            "status": status,
            "amount": f"{amount:f}",
            "currency": outcome.currency,
        }
        yield Sample("/webhook", event_id, json.dumps(event).encode())
