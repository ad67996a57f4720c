"""The plots of the sample payments: eight events each, and what they come to. Stripe's tell it as Stripe would."""

import json
import random
import time
from collections.abc import Callable
from decimal import Decimal

from stack.demo.samples import CURRENCIES, Movement, Outcome, Sample, Story

PAYMENTS = 20
EVENTS_PER_PAYMENT = 8


class _Payment:
    """One payment being told. Each method adds an event; `ends` says what must become of it all."""

    def __init__(self, payment: str, currency: str, amount: int, at: int) -> None:
        self.payment = payment
        self.amount = amount
        self._currency = currency
        self._at = at
        self._events: list[Sample] = []

    def intent(self, kind: str, received: int = 0) -> None:
        """`payment_intent.<kind>`."""
        self._stripe(f"payment_intent.{kind}", id=self.payment, amount=self.amount, amount_received=received)

    def charge(self, kind: str, captured: int = 0, refunded: int = 0) -> None:
        """`charge.<kind>`. The totals are the running ones, as Stripe sends them."""
        self._about_charge(
            f"charge.{kind}",
            id=f"ch_{self.payment}",
            amount=self.amount,
            amount_captured=captured,
            amount_refunded=refunded,
            captured=captured > 0,
        )

    def refund(self, kind: str, number: int, amount: int, status: str = "succeeded") -> None:
        """`refund.<kind>`: one refund, by itself."""
        self._about_charge(
            f"refund.{kind}", id=self.refund_id(number), amount=amount, status=status, balance_transaction="txn_sample"
        )

    def dispute(self, kind: str, status: str = "needs_response") -> None:
        """`charge.dispute.<kind>`: the bank takes the whole amount back."""
        self._about_charge(f"charge.dispute.{kind}", id=self.dispute_id, amount=self.amount, status=status)

    def plain(self, status: str) -> None:
        """The in-house format of POST /webhook."""
        event_id = self._next_id("ev")
        amount = Decimal(self.amount).scaleb(-CURRENCIES[self._currency])
        event = {
            "event_id": event_id,
            "transaction_id": self.payment,
            "status": status,
            "amount": f"{amount:f}",
            "currency": self._currency,
        }
        self._events.append(Sample("default", event_id, json.dumps(event).encode()))

    def ends(
        self,
        status: str,
        *movements: Movement,
        captured: int = 0,
        refunded: int = 0,
        disputed: int = 0,
        contradicted: str = "",
    ) -> Story:
        """The story so far, and its outcome."""
        outcome = Outcome(self.payment, status, self._currency, captured, refunded, disputed)
        return Story(self._events, outcome, movements, contradicted)

    def refund_id(self, number: int) -> str:
        """A refund's id."""
        return f"re_{self.payment}_{number}"

    @property
    def dispute_id(self) -> str:
        """The dispute's id."""
        return f"dp_{self.payment}"

    def captures(self, amount: int) -> Movement:
        """The money comes in, once, whichever and however many events tell of it."""
        return Movement(f"capture:{self.payment}", "provider", "merchant", amount)

    def refunds(self, number: int, amount: int) -> Movement:
        """A refund pays money back."""
        return Movement(f"refund:{self.refund_id(number)}", "merchant", "provider", amount)

    def refund_returns(self, number: int, amount: int) -> Movement:
        """A refund that failed brings it back."""
        return Movement(f"refund_failed:{self.refund_id(number)}", "provider", "merchant", amount)

    def bank_takes(self) -> Movement:
        """A dispute withdraws the whole amount."""
        return Movement(f"dispute:{self.dispute_id}", "disputes", "provider", self.amount)

    def bank_returns(self) -> Movement:
        """A dispute that was won brings it back."""
        return Movement(f"dispute_reinstated:{self.dispute_id}", "provider", "disputes", self.amount)

    def _about_charge(self, kind: str, **about: object) -> None:
        self._stripe(kind, payment_intent=self.payment, charge=f"ch_{self.payment}", **about)

    def _stripe(self, kind: str, **about: object) -> None:
        event_id = self._next_id("evt")
        event = {
            "id": event_id,
            "object": "event",
            "type": kind,
            "created": self._at + len(self._events),
            "data": {"object": {**about, "currency": self._currency.lower()}},
        }
        self._events.append(Sample("stripe", event_id, json.dumps(event).encode()))

    def _next_id(self, prefix: str) -> str:
        return f"{prefix}_{self.payment}_{len(self._events)}"


def _paid_at_the_second_attempt(it: _Payment) -> Story:
    it.intent("created")
    it.charge("pending")
    it.charge("failed")
    it.intent("payment_failed")
    it.intent("requires_action")
    it.intent("processing")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    return it.ends("succeeded", it.captures(it.amount), captured=it.amount)


def _captured_later_in_part(it: _Payment) -> Story:
    part = it.amount // 20 * 10
    it.intent("created")
    it.intent("requires_action")
    it.intent("processing")
    it.charge("succeeded")
    it.intent("amount_capturable_updated")
    it.charge("captured", captured=part, refunded=it.amount - part)
    it.charge("updated", captured=part)
    it.intent("succeeded", received=part)
    return it.ends("succeeded", it.captures(part), captured=part)


def _refunded_in_part(it: _Payment) -> Story:
    part = it.amount // 30 * 10
    it.intent("created")
    it.charge("failed")
    it.intent("payment_failed")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    it.refund("created", 1, part)
    it.charge("refunded", captured=it.amount, refunded=part)
    it.refund("updated", 1, part)
    return it.ends("partially_refunded", it.captures(it.amount), it.refunds(1, part), captured=it.amount, refunded=part)


def _refunded_in_two_parts(it: _Payment) -> Story:
    first = it.amount // 30 * 10
    second = it.amount - first
    it.intent("created")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    it.refund("created", 1, first)
    it.charge("refunded", captured=it.amount, refunded=first)
    it.refund("created", 2, second)
    it.charge("refunded", captured=it.amount, refunded=it.amount)
    it.refund("updated", 2, second)
    movements = it.captures(it.amount), it.refunds(1, first), it.refunds(2, second)
    return it.ends("refunded", *movements, captured=it.amount, refunded=it.amount)


def _refund_that_failed(it: _Payment) -> Story:
    part = it.amount // 30 * 10
    it.intent("created")
    it.intent("processing")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    it.refund("created", 1, part)
    it.charge("refunded", captured=it.amount, refunded=part)
    it.refund("failed", 1, part, "failed")
    it.refund("updated", 1, part, "failed")
    movements = it.captures(it.amount), it.refunds(1, part), it.refund_returns(1, part)
    return it.ends("succeeded", *movements, captured=it.amount)


def _disputed(it: _Payment) -> Story:
    it.intent("created")
    it.charge("failed")
    it.intent("payment_failed")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    it.dispute("created")
    it.dispute("funds_withdrawn")
    it.dispute("updated", "under_review")
    return it.ends("disputed", it.captures(it.amount), it.bank_takes(), captured=it.amount, disputed=it.amount)


def _dispute_won(it: _Payment) -> Story:
    it.intent("created")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    it.dispute("created")
    it.dispute("funds_withdrawn")
    it.dispute("updated", "under_review")
    it.dispute("closed", "won")
    it.dispute("funds_reinstated", "won")
    return it.ends("succeeded", it.captures(it.amount), it.bank_takes(), it.bank_returns(), captured=it.amount)


def _dispute_lost(it: _Payment) -> Story:
    it.intent("created")
    it.intent("requires_action")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=it.amount)
    it.dispute("created")
    it.dispute("funds_withdrawn")
    it.dispute("updated", "under_review")
    it.dispute("closed", "lost")
    return it.ends("charged_back", it.captures(it.amount), it.bank_takes(), captured=it.amount, disputed=it.amount)


def _failed(it: _Payment) -> Story:
    it.intent("created")
    for _ in range(3):
        it.charge("failed")
        it.intent("payment_failed")
    it.intent("requires_action")
    return it.ends("failed")


def _canceled(it: _Payment) -> Story:
    it.intent("created")
    it.charge("failed")
    it.intent("payment_failed")
    it.intent("requires_action")
    it.charge("succeeded")
    it.intent("amount_capturable_updated")
    it.charge("expired")
    it.intent("canceled")
    return it.ends("canceled")


def _plainly_paid(it: _Payment) -> Story:
    for status in ("PENDING", "PENDING", "FAILED", "PENDING", "FAILED", "COMPLETED", "COMPLETED", "COMPLETED"):
        it.plain(status)
    return it.ends("succeeded", it.captures(it.amount), captured=it.amount)


def _plainly_failed(it: _Payment) -> Story:
    for status in ("PENDING", "FAILED") * 4:
        it.plain(status)
    return it.ends("failed")


def _contradicted(it: _Payment) -> Story:
    """Its events disagree about what was captured: the row says the most that was told, until somebody decides."""
    less, part = it.amount - 10, it.amount // 30 * 10
    it.intent("created")
    it.intent("requires_action")
    it.charge("pending")
    it.charge("succeeded", captured=it.amount)
    it.intent("succeeded", received=less)
    it.refund("created", 1, part)
    it.charge("refunded", captured=it.amount, refunded=part)
    it.refund("updated", 1, part)
    movements = it.captures(it.amount), it.captures(less), it.refunds(1, part)
    capture = it.captures(less).name
    return it.ends("partially_refunded", *movements, captured=it.amount, refunded=part, contradicted=capture)


Plot = Callable[[_Payment], Story]

STRIPE: tuple[Plot, ...] = (
    _refunded_in_two_parts,
    _dispute_won,
    _paid_at_the_second_attempt,
    _refund_that_failed,
    _refunded_in_part,
    _dispute_lost,
    _captured_later_in_part,
    _disputed,
    _failed,
    _canceled,
)
PLAIN: tuple[Plot, ...] = (_plainly_paid, _plainly_failed)
PLOTS = STRIPE[:8] + PLAIN + STRIPE[8:]
"""The first ones happen twice."""


def stories(run: str, chance: random.Random, *, with_conflict: bool = False) -> list[Story]:
    """So many payments, and one that contradicts itself where that is wanted. `run` makes their ids new."""
    plots = [PLOTS[number % len(PLOTS)] for number in range(PAYMENTS)]
    at = int(time.time())
    return [
        _told(plot, run, number, chance, at) for number, plot in enumerate([*plots, *[_contradicted] * with_conflict])
    ]


def _told(plot: Plot, run: str, number: int, chance: random.Random, at: int) -> Story:
    payment = f"{'tx' if plot in PLAIN else 'pi'}_{run}_{number}"
    currencies = list(CURRENCIES)
    currency = currencies[(number + number // len(PLOTS)) % len(currencies)]
    # Stripe takes no amounts with a third digit after the point.
    return plot(_Payment(payment, currency, 10 * chance.randrange(100, 100_000), at))
