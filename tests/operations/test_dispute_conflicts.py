"""Two events that contradict each other about money withdrawn for a dispute: a decision, and the dispute's row."""

import json
from typing import Any

import pytest

from tests.support.events import contract_event
from tests.support.operator_commands import Operator, captured

DISPUTES = "SELECT status, withdrawn_amount, reinstated_amount, disputed FROM disputes"
PAYMENT = "SELECT status, disputed FROM payments"


def dispute(event_id: str, type_: str, amount: int, status: str = "needs_response") -> Any:
    body = {"id": "dp_1", "object": "dispute", "amount": amount, "currency": "eur", "status": status,
            "charge": "ch_1", "payment_intent": "pi_1"}  # fmt: skip
    event = {"id": event_id, "object": "event", "type": type_, "created": 1, "data": {"object": body}}
    return contract_event(event_id, "pi_1", type=type_, body=json.dumps(event).encode())


TWO_AMOUNTS = [
    dispute("evt_w1", "charge.dispute.funds_withdrawn", 600),
    dispute("evt_w2", "charge.dispute.funds_withdrawn", 700),
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("keep", "expected"), [("booked", 0), ("reported", 1)])
async def test_a_decision_about_a_withdrawal_is_in_the_disputes_row(
    operator: Operator, order: int, keep: str, expected: int
) -> None:
    reports = TWO_AMOUNTS[::order]
    await operator.apply(captured(1000, "evt_c"), *reports)
    assert await operator.rows(DISPUTES) == [("open", 700, 0, 700)]
    assert await operator.rows(PAYMENT) == [("disputed", 700)]
    said = await operator.say("resolve", "pi_1", "--keep", keep)
    assert said.code == 0
    amount = [600, 700][::order][expected]
    assert await operator.rows(DISPUTES) == [("open", amount, 0, amount)]
    assert await operator.rows(PAYMENT) == [("disputed", amount)]
    assert await operator.rows("SELECT balance FROM balances WHERE account = 'disputes'") == [(-amount,)]
    await operator.assert_sound()
