"""The checker itself: it sees each broken promise, and does not report a kept one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.checker import State, find_broken_promises
from tests.support.history import ExpectedPayment, History, read

SHA = "5a"
PAYMENT = {
    "payment": "pi_1", "amount": 100, "captured": 100, "refunded": 30, "disputed": 0, "succeeded": True,
    "failed": False, "currency": "EUR", "contradicted": False,
}  # fmt: skip


def applied(event: str, entry_id: str, sha: str = SHA) -> Mapping[str, Any]:
    return {"event_id": event, "entry_id": entry_id, "body_sha": sha}


def dead(event: str, entry_id: str, state: str = "open") -> Mapping[str, Any]:
    return {"event_id": event, "entry_id": entry_id, "state": state, "reason": "no"}


GOOD = State(
    applied=[applied("evt_1", "1-0"), applied("evt_2", "2-0")],
    duplicates=[{"event_id": "evt_1", "entry_id": "3-0"}],
    dead=[],
    payments=[PAYMENT],
)


def record_events(history: History) -> History:
    """Two events of one payment: one accepted at once, one after an answer was lost."""
    history.sends("evt_1", ExpectedPayment("pi_1", 100, captured=100, succeeded=True), SHA)
    history.sends("evt_2", ExpectedPayment("pi_1", 100, captured=100, refunded=30, succeeded=True), SHA)
    history.answered("evt_1", 202, "1-0")
    history.answered("evt_2", 0, None)
    history.answered("evt_2", 200, None)
    history.answered("evt_1", 503, None)
    return history


def test_what_is_right_is_right() -> None:
    assert find_broken_promises(record_events(History()), GOOD) == []


@pytest.mark.parametrize(
    ("state", "finding"),
    [
        (replace(GOOD, applied=GOOD.applied[:1], payments=[PAYMENT | {"refunded": 0}]), "missing: evt_2"),
        (replace(GOOD, applied=[*GOOD.applied, applied("evt_3", "4-0")]), "invented: evt_3"),
        (replace(GOOD, applied=[GOOD.applied[0], applied("evt_2", "2-0", "00")]), "mismatch: evt_2"),
        (replace(GOOD, applied=[*GOOD.applied, applied("evt_2", "4-0")]), "duplicate: evt_2"),
        (replace(GOOD, dead=[dead("evt_1", "1-0", "replayed")]), "conflict: entry 1-0"),
        (replace(GOOD, dead=[dead("evt_2", "5-0", "replayed")]), "given up: entry 5-0"),
        (replace(GOOD, applied=[applied("evt_1", "9-0"), GOOD.applied[1]]), "missing: entry 1-0"),
        (replace(GOOD, payments=[PAYMENT | {"refunded": 60}]), "mismatch: payment pi_1"),
        (replace(GOOD, payments=[]), "mismatch: payment pi_1"),
        (replace(GOOD, payments=[PAYMENT, PAYMENT | {"payment": "pi_2"}]), "mismatch: payment pi_2"),
    ],
)
def test_what_is_wrong_is_seen(state: State, finding: str) -> None:
    assert any(line.startswith(finding) for line in find_broken_promises(record_events(History()), state))


def test_an_event_is_new_only_once() -> None:
    history = record_events(History())
    history.answered("evt_1", 202, "3-0")
    assert find_broken_promises(history, GOOD) == ["duplicate: evt_1 was answered 202 2 times"]
    assert find_broken_promises(history, GOOD, one_202_each=False) == []


def test_a_dead_event_is_not_missing() -> None:
    state = replace(GOOD, applied=GOOD.applied[:1], dead=[dead("evt_2", "2-0")], payments=[PAYMENT | {"refunded": 0}])
    (line,) = find_broken_promises(record_events(History()), state)
    assert line.startswith("given up")


def test_a_history_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with History(path) as written:
        record_events(written)
        written.fault("redis killed")
    read_back = read(path)
    assert (read_back.events, read_back.statuses, read_back.promised) == (
        written.events,
        written.statuses,
        written.promised,
    )
    assert read_back.faults == ["redis killed"]
