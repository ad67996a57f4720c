"""The demonstration's verdict says when something is wrong; that it says so when nothing is, its own test shows."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from contract.accounts import PostingRules
from stack.base import StackError
from stack.demo.check import (
    CONFLICT_IS_OPEN,
    Audit,
    Balance,
    Books,
    Conflict,
    Source,
    Transfer,
    balances,
    expected_transfers,
    is_as_told,
    read_sources,
)
from stack.demo.report import Report
from stack.demo.samples import Story
from stack.demo.scenarios import stories

STRIPE = Source("stripe", "stripe", "acme", PostingRules())
TWO = '[stripe]\nprovider = "stripe"\n{}\n[default]\nprovider = "hmac"\n'

*PLAIN, CONTRADICTED = stories("run", random.Random(1), with_conflict=True)
REFUNDED = next(story for story in PLAIN if story.outcome.status == "refunded")


def wrongly(story: Story) -> list[list[Transfer]]:
    """Ways in which the books could differ from the story."""
    right = expected_transfers(story, STRIPE)
    first, *others = right
    return [
        others,
        [*right, replace(first, movement="capture:again")],
        [replace(first, amount=first.amount + 1), *others],
        [replace(first, currency="ZZZ"), *others],
        [replace(first, debit_account=first.credit_account, credit_account=first.debit_account), *others],
    ]


def test_what_is_booked_as_told_is_right_in_any_order() -> None:
    assert is_as_told(REFUNDED, STRIPE, expected_transfers(REFUNDED, STRIPE)[::-1], [])


@pytest.mark.parametrize("found", wrongly(REFUNDED))
def test_what_is_booked_otherwise_is_wrong(found: list[Transfer]) -> None:
    assert not is_as_told(REFUNDED, STRIPE, found, [])


def test_of_a_contradiction_one_amount_is_booked_and_a_conflict_says_so() -> None:
    less, more, refund = expected_transfers(CONTRADICTED, STRIPE)
    conflict = Conflict(1, less.payment_id, CONTRADICTED.contradicted, 1, 2, "EUR")
    assert is_as_told(CONTRADICTED, STRIPE, [more], [conflict])
    assert is_as_told(CONTRADICTED, STRIPE, [less, refund], [conflict])
    assert not is_as_told(CONTRADICTED, STRIPE, [less, more], [conflict])
    assert not is_as_told(CONTRADICTED, STRIPE, [refund], [conflict])
    assert not is_as_told(CONTRADICTED, STRIPE, [more], [])
    assert not is_as_told(REFUNDED, STRIPE, expected_transfers(REFUNDED, STRIPE), [conflict])


def test_accounts_are_those_of_the_source() -> None:
    accounts = {"provider": "psp:{source}:{currency}", "merchant": "shop:{namespace}", "disputes": "d:{payment}"}
    source = replace(STRIPE, rules=PostingRules(accounts=accounts))
    booked = expected_transfers(REFUNDED, source)
    currency = REFUNDED.outcome.currency
    assert {booked[0].debit_account, booked[0].credit_account} == {f"psp:stripe:{currency}", "shop:acme"}


def test_balances_add_up_to_nothing() -> None:
    booked = [transfer for story in PLAIN for transfer in expected_transfers(story, STRIPE)]
    found = balances(booked)
    for currency in {balance.currency for balance in found}:
        assert sum(balance.balance for balance in found if balance.currency == currency) == 0
    assert Balance("EUR", "a", 1) < Balance("EUR", "b", 0) < Balance("JPY", "a", 0)


def test_sources_are_read_with_their_namespace(tmp_path: Path) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(TWO.format('namespace = "acme"'))
    sources = read_sources(file)
    assert (sources["stripe"].namespace, sources["default"].namespace) == ("acme", "default")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no \[stripe\]"),
        ("[stripe", "cannot be read"),
        (TWO.format('trust = "nobody"'), "trust is not one of"),
        (TWO.format('capture = "automatic"'), r'capture = "automatic"'),
    ],
)
def test_sources_the_samples_cannot_use_are_said_so(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(text)
    with pytest.raises(StackError, match=said):
        read_sources(file)


BOOKS = Books(outcomes=[], balances=[], conflicts=[], held_back=0, duplicates=0, wrong=[])
GOOD = Report(
    payments=20, events=160, sent=4000, accepted=160, duplicates=3840, refused={}, committed=160, dead=0, gateways=2,
    workers=4, killed=8, restarted=8, taken_over=1, seconds=1, books=BOOKS, audit=Audit(passed=True), contradicted=0,
)  # fmt: skip
OPEN = Audit(passed=False, broken={CONFLICT_IS_OPEN: "why"})


def test_good_is_good() -> None:
    assert GOOD.passed
    # Answered 503 for want of a reply and sent again: it was accepted all the same, and nobody was told so.
    assert replace(GOOD, accepted=159, duplicates=3841).passed
    assert replace(GOOD, contradicted=1, audit=OPEN).passed


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, duplicates=3839, refused={401: 1}),
        replace(GOOD, accepted=161, duplicates=3839),
        replace(GOOD, committed=159),
        replace(GOOD, committed=159, dead=1),
        replace(GOOD, books=replace(BOOKS, wrong=["pi_1"])),
        replace(GOOD, audit=OPEN),
        replace(GOOD, contradicted=1, audit=Audit(passed=False, broken={"entry_with_two_fates": "why"})),
    ],
)
def test_anything_else_is_not(bad: Report) -> None:
    assert not bad.passed
