"""What an API confirms of a delivered body, case by case."""

import pytest

from consumers.confirmation.agreement import find_disagreement, plain
from contract.facts import Fact

CAPTURED = Fact("captured", 1000, "EUR", "ch_1")
REFUNDED = Fact("refunded", 300, "EUR", "re_1")
WITHDRAWN = Fact("funds_withdrawn", 1000, "EUR", "txn_1", dispute="dp_1")
OPENED = Fact("dispute_opened", 1000, "EUR", "dp_1")
AUTHORIZED = Fact("authorized", 1000, "EUR")

AGREE = {
    "the same": ([CAPTURED], [CAPTURED]),
    "more is known": ([CAPTURED], [REFUNDED, CAPTURED]),
    "a body that names an id only": ([], [CAPTURED]),
    "nothing on both sides": ([], []),
    "a refund that failed since was made": ([REFUNDED], [Fact("refund_failed", 300, "EUR", "re_1")]),
    "a capture that failed since was made": ([CAPTURED], [Fact("capture_failed", 1000, "EUR", "ch_1")]),
    "money for a dispute": ([WITHDRAWN], [WITHDRAWN]),
    "a dispute that was won since": ([OPENED], [Fact("dispute_won", 1000, "EUR", "dp_1")]),
    "an authorization that was captured in part": ([AUTHORIZED], [Fact("captured", 400, "EUR", "ch_1")]),
    "an authorization that was canceled": ([AUTHORIZED], [Fact("canceled", 1000, "EUR")]),
    "a sum of refunds that has grown": (
        [Fact("refunded_total", 300, "EUR")], [REFUNDED, Fact("refunded_total", 500, "EUR")]),
    "a sum of refunds of which only one is shown": ([REFUNDED, Fact("refunded_total", 300, "EUR")], [REFUNDED]),
    "another payment of a dispute": (
        [Fact("dispute_opened", 9, "EUR", "dp_1/b", payment="b")],
        [OPENED, Fact("dispute_opened", 9, "EUR", "dp_1/b", payment="b")]),
}  # fmt: skip

DISAGREE = {
    "another amount": ([CAPTURED], [Fact("captured", 999, "EUR", "ch_1")]),
    "another currency": ([CAPTURED], [Fact("captured", 1000, "USD", "ch_1")]),
    "another object": ([CAPTURED], [Fact("captured", 1000, "EUR", "ch_2")]),
    "another payment": ([Fact("captured", 1000, "EUR", "ch_1", payment="b")], [CAPTURED]),
    "nothing is known": ([CAPTURED], []),
    "it is only authorized": ([CAPTURED], [AUTHORIZED]),
    "it is only pending": ([CAPTURED], [Fact("pending", 1000, "EUR", "ch_1")]),
    "a refund that did not fail": ([Fact("refund_failed", 300, "EUR", "re_1")], [REFUNDED]),
    "one of two is not known": ([CAPTURED, REFUNDED], [CAPTURED]),
    "a failed refund of another amount": ([REFUNDED], [Fact("refund_failed", 301, "EUR", "re_1")]),
    "money of another dispute": ([WITHDRAWN], [Fact("funds_withdrawn", 1000, "EUR", "txn_1", dispute="dp_2")]),
    "money that came back and did not go": (
        [WITHDRAWN], [Fact("funds_reinstated", 1000, "EUR", "txn_1", dispute="dp_1")]),
    "a dispute of another amount": ([OPENED], [Fact("dispute_opened", 2000, "EUR", "dp_1")]),
    "a dispute that nobody knows": ([OPENED], [CAPTURED]),
    "another amount authorized": ([AUTHORIZED], [Fact("authorized", 100, "EUR")]),
    "another amount canceled": ([AUTHORIZED], [Fact("canceled", 100, "EUR")]),
    "authorized in another currency": ([AUTHORIZED], [Fact("captured", 1000, "USD", "ch_1")]),
    "a sum of refunds that is too large": (
        [Fact("refunded_total", 300, "EUR")], [Fact("refunded_total", 299, "EUR")]),
    "a sum of refunds in another currency": (
        [Fact("refunded_total", 300, "EUR")], [Fact("refunded", 300, "USD", "re_1")]),
    "a sum of refunds of nothing": ([Fact("refunded_total", 300, "EUR")], []),
    "a failure that is not known": ([Fact("failed", 1000, "EUR")], []),
}  # fmt: skip


@pytest.mark.parametrize("case", AGREE)
def test_what_is_confirmed(case: str) -> None:
    assert find_disagreement(*AGREE[case]) is None


@pytest.mark.parametrize("case", DISAGREE)
def test_what_is_not_confirmed(case: str) -> None:
    reported, answered = DISAGREE[case]
    disagreement = find_disagreement(reported, answered)
    assert disagreement
    assert disagreement.text.startswith("the event reports ")


def test_both_sides_are_named() -> None:
    disagreement = find_disagreement([CAPTURED], [Fact("captured", 999, "EUR", "ch_1"), AUTHORIZED])
    assert disagreement
    assert disagreement.text == (
        "the event reports captured (ch_1) 10.00 EUR; the API says captured (ch_1) 9.99 EUR"
    )  # fmt: skip
    nothing = find_disagreement([REFUNDED], [])
    assert nothing
    assert nothing.text == "the event reports refunded (re_1) 3.00 EUR; the API knows nothing of it"


def test_facts_are_kept_without_what_is_not_about_money() -> None:
    assert plain([CAPTURED]) == [{"kind": "captured", "object": "ch_1", "amount": 1000, "currency": "EUR"}]
