"""The rules that tests/observability sees fire by real faults are the real ones, apart from their durations."""

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from tests.support.observability import alerts, rules
from tests.support.short_rules import LIMITS, WINDOW, WINDOWS, shortened, write_short_rules

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS_S[duration[-1]]


def without_durations(name: str, query: str) -> str:
    for limit in LIMITS.get(name, ()):
        query = re.sub(rf"{limit}\b", "> LIMIT", query)
    return WINDOW.sub("WINDOW", query)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_shortened_rule_differs_in_its_durations_only(rule: dict[str, object]) -> None:
    short, name = shortened(rule), str(rule.get("alert"))
    assert without_durations(name, short["expr"]) == without_durations(name, str(rule["expr"]))
    promql_parser.parse(short["expr"])
    assert all(seconds(window) <= 60 for window in WINDOW.findall(short["expr"]))
    assert {key: value for key, value in short.items() if key not in ("expr", "for")} == {
        key: value for key, value in rule.items() if key not in ("expr", "for")
    }
    assert ("for" in short) == ("for" in rule)


def test_shorter_windows_keep_their_order() -> None:
    longest_last = sorted(WINDOWS, key=seconds)
    shorter = [seconds(WINDOWS[window]) for window in longest_last]
    assert shorter == sorted(shorter)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(KeyError, match="7m"):
        shortened({"expr": "rate(x[7m])"})
    with pytest.raises(ValueError, match="another limit"):
        shortened({"alert": "WebhookWorkerStuck", "expr": "x > 30"})


def test_every_limit_is_one_of_an_alert_and_both_files_are_written(tmp_path: Path) -> None:
    assert LIMITS.keys() <= alerts().keys()
    written = [yaml.safe_load(path.read_text()) for path in write_short_rules(tmp_path)]
    assert [rule for file in written for group in file["groups"] for rule in group["rules"]] == list(
        map(shortened, rules())
    )
