"""Whether an API confirms what a delivered body says. Pure: two lists of facts in, one answer out.

The books take what the API says and nothing else, so that a body which disagrees can move no money whatever the answer
here is. The answer decides whether the event is taken for genuine at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from contract.facts import DISPUTE_STATES, DISPUTE_TRANSFERS, Fact, Kind
from contract.money import format_amount

_OF_PAYMENTS: frozenset[Kind] = frozenset({"captured", "refunded", "capture_failed", "refund_failed"})

MOVEMENTS: frozenset[Kind] = _OF_PAYMENTS | DISPUTE_TRANSFERS
"""Facts about money that moved: the API must know each one, of the same object, amount and currency."""

IMPLIED_BY: Mapping[Kind, Kind] = {"captured": "capture_failed", "refunded": "refund_failed"}
"""A movement, and the later one that could not be without it."""

STATES: frozenset[Kind] = frozenset({"pending", "authorized", "failed", "canceled"})
"""States of the payment as a whole. It may have moved on since; its amount and currency stay."""

Plain: TypeAlias = "dict[str, str | int]"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The first thing that a body says and the API does not. `text` is safe to show."""

    text: str


def find_disagreement(reported: Sequence[Fact], answered: Sequence[Fact]) -> Disagreement | None:
    """Return what the delivered body reports and the API does not confirm; None where it confirms everything.

    A body that reports nothing, because it names an object only, is confirmed by whatever the API says.
    """
    for claim in reported:
        if not _is_confirmed(claim, answered):
            return Disagreement(f"the event reports {words(claim)}; {_says(claim, answered)}")
    return None


def words(fact: Fact) -> str:
    """Return a fact in words, such as `captured (ch_1) 10.00 EUR`."""
    object_ = f" ({fact.object})" if fact.object else ""
    about = f" of payment {fact.payment}" if fact.payment else ""
    return f"{fact.kind}{object_} {format_amount(fact.amount, fact.currency)}{about}"


def plain(facts: Sequence[Fact]) -> list[Plain]:
    """Return facts as they are kept in JSON."""
    return [
        {"kind": each.kind, "object": each.object, "amount": each.amount, "currency": each.currency} for each in facts
    ]


def _is_confirmed(claim: Fact, answered: Sequence[Fact]) -> bool:
    about_it = [each for each in answered if each.payment == claim.payment]
    if claim.kind in MOVEMENTS:
        kinds = {claim.kind, IMPLIED_BY.get(claim.kind, claim.kind)}
        return any(
            each.kind in kinds and each.object == claim.object and each.dispute == claim.dispute
            and _money(each) == _money(claim)
            for each in about_it
        )  # fmt: skip
    if claim.kind in DISPUTE_STATES:
        return any(
            each.kind in DISPUTE_STATES and each.object == claim.object and _money(each) == _money(claim)
            for each in about_it
        )
    if claim.kind == "refunded_total":
        return _is_in_total(claim, about_it)
    return _is_in_state(claim, about_it)


def _is_in_state(claim: Fact, about_it: Sequence[Fact]) -> bool:
    """Return whether a state of the payment is one that it may have had: of one kind the amounts must be equal.

    What was authorized may be captured in part, so that of other kinds only the currency is the same.
    """
    states = [each for each in about_it if each.kind in STATES]
    if states:
        return any(_money(each) == _money(claim) for each in states)
    return any(each.currency == claim.currency for each in about_it if each.kind not in DISPUTE_STATES)


def _is_in_total(claim: Fact, about_it: Sequence[Fact]) -> bool:
    """Return whether a sum of refunds is one that the payment may have had: sums only grow."""
    totals = [each for each in about_it if each.kind == "refunded_total"]
    if totals:
        return any(each.currency == claim.currency and each.amount >= claim.amount for each in totals)
    return any(each.currency == claim.currency for each in about_it)


def _money(fact: Fact) -> tuple[int, str]:
    return fact.amount, fact.currency


def _says(claim: Fact, answered: Sequence[Fact]) -> str:
    """Return what the API says about what is claimed, as far as it says something near to it."""
    same = [each for each in answered if each.object == claim.object and each.kind == claim.kind]
    shown = same or [each for each in answered if each.object == claim.object] or list(answered)
    return f"the API says {', '.join(map(words, shown))}" if shown else "the API knows nothing of it"
