"""A contradiction about money that was reversed: whatever is decided, the reversal is as large as what it reverses."""

import json
from itertools import permutations
from typing import Any

import pytest

from contract.accounts import PostingRules
from contract.event import Event
from tests.support.events import contract_event
from tests.support.operator_commands import Operator


def adyen(event_id: str, code: str, amount: int, reference: str = "PSP1") -> Event:
    item: dict[str, Any] = {
        "eventCode": code, "amount": {"currency": "EUR", "value": amount}, "success": "true", "pspReference": reference,
        "merchantAccountCode": "M", "originalReference": "" if code == "AUTHORISATION" else "PSP1",
    }  # fmt: skip
    body = json.dumps({"NotificationRequestItem": item}).encode()
    return contract_event(event_id, "PSP1", provider="adyen", type=code, body=body)


AUTOMATIC = PostingRules(trust="all", capture="automatic")
CANCELED = [
    adyen("evt_10", "AUTHORISATION", 1000), adyen("evt_15", "AUTHORISATION", 1500),
    adyen("evt_cancel", "CANCELLATION", 1000, "X1"),
]  # fmt: skip
FAILED = [
    adyen("evt_6", "REFUND", 600, "R1"), adyen("evt_7", "REFUND", 700, "R1"),
    adyen("evt_failed", "REFUND_FAILED", 600, "R1"),
]  # fmt: skip
PAYMENT = "SELECT captured, refunded FROM payments"
BALANCE = "SELECT balance FROM balances WHERE balance <> 0"


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("keep", ["booked", "reported"])
@pytest.mark.parametrize("story", [CANCELED, FAILED], ids=["canceled", "failed"])
async def test_what_was_reversed_ends_at_nothing_whatever_is_decided(
    operator: Operator, story: list[Event], keep: str, order: tuple[int, ...]
) -> None:
    await operator.apply(*(story[index] for index in order), stripe=AUTOMATIC)
    assert await operator.rows(PAYMENT) == [(0, 0)]
    assert (await operator.say("resolve", "PSP1", "--keep", keep)).code == 0
    assert await operator.rows(PAYMENT) == [(0, 0)]
    assert await operator.rows(BALANCE) == []
    await operator.assert_sound()
