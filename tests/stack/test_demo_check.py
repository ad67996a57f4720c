"""The checks of the demonstration find what is wrong. `test_demo` shows that they pass when nothing is."""

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
    BookedState,
    Conflict,
    Source,
    Transfer,
    balances,
    expected_transfers,
    is_as_expected,
    read_sources,
)
from stack.demo.report import Report
from stack.demo.samples import Scenario
from stack.demo.scenarios import scenarios

STRIPE = Source("stripe", "stripe", "acme", PostingRules())
TWO = '[stripe]\nprovider = "stripe"\n{}\n[default]\nprovider = "hmac"\n'

*PLAIN, CONTRADICTORY = scenarios("run", random.Random(1), with_conflict=True)
REFUNDED = next(scenario for scenario in PLAIN if scenario.payment.status == "refunded")


def wrong_transfers(scenario: Scenario) -> list[list[Transfer]]:
    """Return transfers that differ from the scenario, each list in another way."""
    right = expected_transfers(scenario, STRIPE)
    first, *others = right
    return [
        others,
        [*right, replace(first, movement="capture:again")],
        [replace(first, amount=first.amount + 1), *others],
        [replace(first, currency="ZZZ"), *others],
        [replace(first, debit_account=first.credit_account, credit_account=first.debit_account), *others],
    ]


def test_the_expected_transfers_pass_in_any_order() -> None:
    assert is_as_expected(REFUNDED, STRIPE, expected_transfers(REFUNDED, STRIPE)[::-1], [])


@pytest.mark.parametrize("found", wrong_transfers(REFUNDED))
def test_any_other_transfers_fail(found: list[Transfer]) -> None:
    assert not is_as_expected(REFUNDED, STRIPE, found, [])


def test_of_two_reported_amounts_one_is_booked_and_a_conflict_is_recorded() -> None:
    less, more, refund = expected_transfers(CONTRADICTORY, STRIPE)
    conflict = Conflict(1, less.payment_id, CONTRADICTORY.conflicting_key, 1, 2, "EUR")
    assert is_as_expected(CONTRADICTORY, STRIPE, [more], [conflict])
    assert is_as_expected(CONTRADICTORY, STRIPE, [less, refund], [conflict])
    assert not is_as_expected(CONTRADICTORY, STRIPE, [less, more], [conflict])
    assert not is_as_expected(CONTRADICTORY, STRIPE, [refund], [conflict])
    assert not is_as_expected(CONTRADICTORY, STRIPE, [more], [])
    assert not is_as_expected(REFUNDED, STRIPE, expected_transfers(REFUNDED, STRIPE), [conflict])


def test_transfers_use_the_accounts_of_their_source() -> None:
    accounts = {"provider": "psp:{source}:{currency}", "merchant": "shop:{namespace}", "disputes": "d:{payment}"}
    source = replace(STRIPE, rules=PostingRules(accounts=accounts))
    booked = expected_transfers(REFUNDED, source)
    currency = REFUNDED.payment.currency
    assert {booked[0].debit_account, booked[0].credit_account} == {f"psp:stripe:{currency}", "shop:acme"}


def test_balances_add_up_to_zero_per_currency() -> None:
    booked = [transfer for scenario in PLAIN for transfer in expected_transfers(scenario, STRIPE)]
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
    ("text", "message"),
    [
        ("", r"no \[stripe\]"),
        ("[stripe", "cannot be read"),
        (TWO.format('trust = "nobody"'), "trust is not one of"),
        (TWO.format('capture = "automatic"'), r'capture = "automatic"'),
    ],
)
def test_unsuitable_sources_are_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(text)
    with pytest.raises(StackError, match=message):
        read_sources(file)


BOOKS = BookedState(outcomes=[], balances=[], conflicts=[], held_back=0, duplicates=0, wrong=[])
GOOD = Report(
    payments=20, events=160, sent=4000, accepted=160, duplicates=3840, refused={}, committed=160, dead=0, gateways=2,
    workers=4, killed=8, restarted=8, taken_over=1, seconds=1, books=BOOKS, audit=Audit(passed=True), contradicted=0,
)  # fmt: skip
OPEN = Audit(passed=False, broken={CONFLICT_IS_OPEN: "why"})


def test_a_report_without_deviations_passes() -> None:
    assert GOOD.passed
    # Redis' reply was lost: the delivery was accepted but answered 503, and its retry counted as a duplicate.
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
def test_any_deviation_fails(bad: Report) -> None:
    assert not bad.passed
