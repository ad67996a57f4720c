"""The scenarios of the sample payments, eight events each, and the rows they must lead to."""

import random
import time
from collections.abc import Callable

from stack.demo.builder import ScenarioBuilder
from stack.demo.samples import CURRENCIES, Scenario

PAYMENTS = 20
EVENTS_PER_PAYMENT = 8


def _paid_at_the_second_attempt(payment: ScenarioBuilder) -> Scenario:
    payment.intent("created")
    payment.charge("pending")
    payment.charge("failed")
    payment.intent("payment_failed")
    payment.intent("requires_action")
    payment.intent("processing")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    return payment.build("succeeded", payment.captures(payment.amount), captured=payment.amount)


def _captured_later_in_part(payment: ScenarioBuilder) -> Scenario:
    part = payment.amount // 20 * 10
    payment.intent("created")
    payment.intent("requires_action")
    payment.intent("processing")
    payment.charge("succeeded")
    payment.intent("amount_capturable_updated")
    payment.charge("captured", captured=part, refunded=payment.amount - part)
    payment.charge("updated", captured=part)
    payment.intent("succeeded", received=part)
    return payment.build("succeeded", payment.captures(part), captured=part)


def _refunded_in_part(payment: ScenarioBuilder) -> Scenario:
    part = payment.amount // 30 * 10
    payment.intent("created")
    payment.charge("failed")
    payment.intent("payment_failed")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    payment.refund("created", 1, part)
    payment.charge("refunded", captured=payment.amount, refunded=part)
    payment.refund("updated", 1, part)
    return payment.build(
        "partially_refunded",
        payment.captures(payment.amount),
        payment.refunds(1, part),
        captured=payment.amount,
        refunded=part,
    )


def _refunded_in_two_parts(payment: ScenarioBuilder) -> Scenario:
    first = payment.amount // 30 * 10
    second = payment.amount - first
    payment.intent("created")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    payment.refund("created", 1, first)
    payment.charge("refunded", captured=payment.amount, refunded=first)
    payment.refund("created", 2, second)
    payment.charge("refunded", captured=payment.amount, refunded=payment.amount)
    payment.refund("updated", 2, second)
    transfers = payment.captures(payment.amount), payment.refunds(1, first), payment.refunds(2, second)
    return payment.build("refunded", *transfers, captured=payment.amount, refunded=payment.amount)


def _refund_that_failed(payment: ScenarioBuilder) -> Scenario:
    part = payment.amount // 30 * 10
    payment.intent("created")
    payment.intent("processing")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    payment.refund("created", 1, part)
    payment.charge("refunded", captured=payment.amount, refunded=part)
    payment.refund("failed", 1, part, "failed")
    payment.refund("updated", 1, part, "failed")
    transfers = payment.captures(payment.amount), payment.refunds(1, part), payment.refund_returns(1, part)
    return payment.build("succeeded", *transfers, captured=payment.amount)


def _disputed(payment: ScenarioBuilder) -> Scenario:
    payment.intent("created")
    payment.charge("failed")
    payment.intent("payment_failed")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    payment.dispute("created")
    payment.dispute("funds_withdrawn")
    payment.dispute("updated", "under_review")
    return payment.build(
        "disputed",
        payment.captures(payment.amount),
        payment.bank_takes(),
        captured=payment.amount,
        disputed=payment.amount,
    )


def _dispute_won(payment: ScenarioBuilder) -> Scenario:
    payment.intent("created")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    payment.dispute("created")
    payment.dispute("funds_withdrawn")
    payment.dispute("updated", "under_review")
    payment.dispute("closed", "won")
    payment.dispute("funds_reinstated", "won")
    return payment.build(
        "succeeded",
        payment.captures(payment.amount),
        payment.bank_takes(),
        payment.bank_returns(),
        captured=payment.amount,
    )


def _dispute_lost(payment: ScenarioBuilder) -> Scenario:
    payment.intent("created")
    payment.intent("requires_action")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=payment.amount)
    payment.dispute("created")
    payment.dispute("funds_withdrawn")
    payment.dispute("updated", "under_review")
    payment.dispute("closed", "lost")
    return payment.build(
        "charged_back",
        payment.captures(payment.amount),
        payment.bank_takes(),
        captured=payment.amount,
        disputed=payment.amount,
    )


def _failed(payment: ScenarioBuilder) -> Scenario:
    payment.intent("created")
    for _ in range(3):
        payment.charge("failed")
        payment.intent("payment_failed")
    payment.intent("requires_action")
    return payment.build("failed")


def _canceled(payment: ScenarioBuilder) -> Scenario:
    payment.intent("created")
    payment.charge("failed")
    payment.intent("payment_failed")
    payment.intent("requires_action")
    payment.charge("succeeded")
    payment.intent("amount_capturable_updated")
    payment.charge("expired")
    payment.intent("canceled")
    return payment.build("canceled")


def _plainly_paid(payment: ScenarioBuilder) -> Scenario:
    for status in ("PENDING", "PENDING", "FAILED", "PENDING", "FAILED", "COMPLETED", "COMPLETED", "COMPLETED"):
        payment.plain(status)
    return payment.build("succeeded", payment.captures(payment.amount), captured=payment.amount)


def _plainly_failed(payment: ScenarioBuilder) -> Scenario:
    for status in ("PENDING", "FAILED") * 4:
        payment.plain(status)
    return payment.build("failed")


def _contradictory(payment: ScenarioBuilder) -> Scenario:
    """The events disagree about the captured amount. The row shows the highest one until the conflict is resolved."""
    less, part = payment.amount - 10, payment.amount // 30 * 10
    payment.intent("created")
    payment.intent("requires_action")
    payment.charge("pending")
    payment.charge("succeeded", captured=payment.amount)
    payment.intent("succeeded", received=less)
    payment.refund("created", 1, part)
    payment.charge("refunded", captured=payment.amount, refunded=part)
    payment.refund("updated", 1, part)
    transfers = payment.captures(payment.amount), payment.captures(less), payment.refunds(1, part)
    capture = payment.captures(less).transfer_key
    return payment.build(
        "partially_refunded", *transfers, captured=payment.amount, refunded=part, conflicting_key=capture
    )


Template = Callable[[ScenarioBuilder], Scenario]

STRIPE: tuple[Template, ...] = (
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
PLAIN: tuple[Template, ...] = (_plainly_paid, _plainly_failed)
TEMPLATES = STRIPE[:8] + PLAIN + STRIPE[8:]
"""With 20 payments, the first eight occur twice."""


def scenarios(
    run: str, chance: random.Random, *, with_conflict: bool = False, at_s: int | None = None
) -> list[Scenario]:
    """Return PAYMENTS scenarios, and on request one more that contradicts itself. `run` makes their ids unique.

    `at_s`: when they happened, in Unix seconds, if not now.
    """
    templates = [TEMPLATES[number % len(TEMPLATES)] for number in range(PAYMENTS)] + [_contradictory] * with_conflict
    at = int(time.time()) if at_s is None else at_s
    return [_build(template, run, number, chance, at) for number, template in enumerate(templates)]


def _build(template: Template, run: str, number: int, chance: random.Random, at: int) -> Scenario:
    payment = f"{'tx' if template in PLAIN else 'pi'}_{run}_{number}"
    currencies = list(CURRENCIES)
    currency = currencies[(number + number // len(TEMPLATES)) % len(currencies)]
    # Stripe requires three-decimal amounts to end in 0.
    return template(ScenarioBuilder(payment, currency, 10 * chance.randrange(100, 100_000), at))
