"""`make demo`, run twice in a row on a running stack, whose workers it kills while it sends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import Checkout

TIMES = "4"
"""Deliveries of each event: enough for two waves, and so for two killed workers."""

QUICK = {"CONSUMERS": "3", "LOCK_TTL_MS": "1000", "CLAIM_IDLE_MS": "1500", "SLOT_TTL_MS": "1000"}
"""Fewer workers than the demonstration needs, and a quicker takeover than in production."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    stack = Checkout(tmp_path, QUICK)
    stack.run("up")
    yield stack
    stack.run("down")


def demonstrate(checkout: Checkout, *arguments: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(checkout.run("demo", "--times", TIMES, "--json", *arguments))
    assert report["passed"]
    assert report["sent"] == int(TIMES) * report["events"] == report["accepted"] + report["duplicates"]
    assert report["committed"] == report["events"]
    assert (report["gateways"], report["workers"]) == (2, 4)
    assert report["restarted"] == report["killed"] >= 2
    assert report["taken_over"] is not None
    return report


def test_two_demonstrations_in_a_row_pass_and_leave_the_stack_as_it_was(checkout: Checkout) -> None:
    before = checkout.processes()
    first = demonstrate(checkout)
    assert (first["payments"], first["events"]) == (20, 160)
    assert first["audit"] == {"passed": True, "broken": {}}
    assert len(first["books"]["outcomes"]) == 20
    assert not first["books"]["conflicts"]

    second = demonstrate(checkout, "--conflict")
    assert second["payments"] == 21
    assert [conflict["movement"].partition(":")[0] for conflict in second["books"]["conflicts"]] == ["capture"]
    assert list(second["audit"]["broken"]) == ["conflict_without_decision"]

    after = checkout.processes()
    assert len(after["consumers"]) == len(before["consumers"])
    assert after["gateway"] == before["gateway"]


def test_without_a_stack_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    assert "`make up` starts one" in Checkout(tmp_path).run("demo", code=1)


def test_a_third_of_the_events_is_lost_found_and_repaired(checkout: Checkout) -> None:
    report: dict[str, Any] = json.loads(checkout.run("demo", "--times", TIMES, "--gaps", "--json"))
    lost = report["events"] // 3
    assert report["gaps"] == {"lost": lost, "missing": lost, "shown": lost, "repaired": lost, "missing_after": 0}
    assert report["sent"] == int(TIMES) * (report["events"] - lost) == report["accepted"] + report["duplicates"]
    assert (report["committed"], report["dead"], report["passed"]) == (report["events"], 0, True)
    assert report["audit"] == {"passed": True, "broken": {}}
    assert not list(checkout.folder.rglob("demo-sources.toml"))
