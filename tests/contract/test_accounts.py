"""Posting rules: what a source may set, and what is refused."""

from typing import Any

import pytest

from contract.accounts import ACCOUNTS, PostingRules, PostingRulesError


def test_rules_that_are_not_set_have_defaults() -> None:
    assert PostingRules.from_table({"provider": "stripe", "secrets": ["x"]}) == PostingRules(
        "signed", "manual", ACCOUNTS
    )


def test_rules_that_are_set_win_over_the_defaults() -> None:
    table = {"trust": "all", "capture": "automatic", "accounts": {"merchant": "shop:{payment}:{currency}"}}
    assert PostingRules.from_table(table) == PostingRules(
        "all", "automatic", {**ACCOUNTS, "merchant": "shop:{payment}:{currency}"}
    )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"trust": "none"}, "trust is not one of signed, all"),
        ({"trust": True}, "trust is not one of"),
        ({"capture": "sometimes"}, "capture is not one of manual, automatic"),
        ({"accounts": "merchant"}, "not a table"),
        ({"accounts": {"merchnt": "x"}}, "merchnt is not one of provider, merchant, disputes"),
        ({"accounts": {"merchant": ""}}, "merchant is not a text of 1 to 255"),
        ({"accounts": {"merchant": 5}}, "merchant is not a text"),
        ({"accounts": {"merchant": "a\nb"}}, "merchant is not a text"),
        ({"accounts": {"merchant": "x" * 256}}, "merchant is not a text"),
        ({"accounts": {"merchant": "{customer}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source.__class__}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source!r}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source:>9999999}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{0}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "same", "provider": "same"}}, "provider is also another account"),
        ({"accounts": {"disputes": "same", "provider": "same"}}, "provider is also another account"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(PostingRulesError, match=problem):
        PostingRules.from_table(table)
