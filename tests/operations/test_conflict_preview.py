"""A preview of a decision is what the decision then does."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from contract.event import Event
from operations.conflict_preview import Choice, Preview, preview_decisions, read_money
from operations.conflicts import ConflictMatch, Decision, Keep, decide, list_conflicts
from operations.log import Act
from operations.payment_acts import Posting
from tests.support.operator_commands import STOPPED, TRANSFERS, Operator, captured, refunded

ACT = Act("mona", "asked the provider", "console")

STORIES: dict[str, list[Event]] = {
    "two captures and refunds that wait": STOPPED,
    "a conflict that opens another one": [*STOPPED, refunded(400, "evt_r3", "re_1"), refunded(90, "evt_r4", "re_2")],
    "a capture of another payment": [captured(700, "evt_a", "pi_1"), captured(700, "evt_b", "pi_1", currency="usd")],
    "two reports that are both not booked": [*STOPPED, captured(900, "evt_900")],
}


@pytest.mark.parametrize("keep", get_args(Keep))
@pytest.mark.parametrize("story", STORIES)
async def test_a_preview_equals_what_happens(operator: Operator, story: str, keep: Keep) -> None:
    await operator.apply(*STORIES[story])
    matches = await first_conflict(operator)
    choice = await preview_decisions(operator.connection, matches)
    preview = next(each for each in choice.previews if each.keep == keep)
    handlers = Posting.read(operator.settings).handlers
    decision = await decide(operator.connection, handlers, matches, keep, timeout_s=5, act=ACT)
    assert not preview.problem
    assert plain(preview.decision) == plain(decision)
    after = await read_money(operator.connection, matches[0].namespace, matches[0].payment_id)
    assert preview.after == after.state
    assert booked(preview) == [each for each in map(timeless, after.transfers) if each not in now(choice)]
    assert bool(decision.open) is bool(await operator.workers.findings())


async def test_a_preview_changes_nothing_and_calls_no_handler(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    before = await everything(operator)
    await preview_decisions(operator.connection, await first_conflict(operator))
    assert await everything(operator) == before


async def test_a_decision_that_is_not_possible_is_a_sentence(operator: Operator) -> None:
    await operator.apply(captured(700, "evt_a", "pi_1"), *STOPPED, captured(900, "evt_900"))
    _, conflicts = await list_conflicts(operator.connection, limit=9)
    matches = [ConflictMatch(each.id, each.namespace, each.payment_id) for each in conflicts]
    booked_, reported = (await preview_decisions(operator.connection, matches)).previews
    assert not booked_.problem
    assert "several amounts were reported for capture:pi_1" in (reported.problem or "")


async def test_a_payment_with_very_many_transfers_is_not_previewed_and_that_is_said(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.apply(*STOPPED)
    monkeypatch.setattr("operations.conflict_preview.TRANSFERS_MAX", 0)
    choice = await preview_decisions(operator.connection, await first_conflict(operator))
    assert choice.now.state
    assert choice.left_out == "The payment has more than 0 transfers, which are left out here."
    assert [(each.keep, "`make resolve` decides it" in (each.problem or "")) for each in choice.previews] == [
        (keep, True) for keep in get_args(Keep)
    ]


async def first_conflict(operator: Operator) -> list[ConflictMatch]:
    _, (conflict, *_) = await list_conflicts(operator.connection, limit=1)
    return [ConflictMatch(conflict.id, conflict.namespace, conflict.payment_id)]


async def everything(operator: Operator) -> list[Any]:
    tables = ("conflicts", "held_back", "payments", "handled_facts", "operations")
    return [await operator.rows(TRANSFERS), *[await operator.rows(f"SELECT * FROM {table}") for table in tables]]


def plain(decision: Decision | None) -> tuple[Any, ...]:
    """All effects; of the conflicts that it opened, only how many, as a number is used once."""
    assert decision
    return decision.decided, decision.corrected, decision.booked, decision.released, len(decision.open)


def now(choice: Choice) -> list[Any]:
    return [timeless(each) for each in choice.now.transfers]


def booked(preview: Preview) -> list[Any]:
    return [timeless(each) for each in preview.booked]


def timeless(transfer: Any) -> Any:
    return replace(transfer, booked_at=None)
