"""From events to payments, transfers and disputes, in any order and batch; a contradiction stops its payment."""

import json
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event
from sql.audit import audit
from tests.support.books import empty_books
from tests.support.consuming import Workers
from tests.support.events import contract_event

INTENT: dict[str, Any] = {
    "id": "pi_1", "object": "payment_intent", "amount": 1999, "amount_capturable": 0, "amount_received": 0,
    "currency": "eur", "status": "requires_payment_method", "latest_charge": None, "livemode": True,
    "metadata": {"order": "7"}, "payment_method_types": ["card", "sepa_debit"], "capture_method": "automatic",
}  # fmt: skip
CHARGE: dict[str, Any] = {
    "id": "ch_1", "object": "charge", "amount": 1999, "amount_captured": 1999, "amount_refunded": 0, "captured": True,
    "currency": "eur", "disputed": False, "paid": True, "payment_intent": "pi_1", "refunded": False,
    "status": "succeeded", "billing_details": {"email": None, "name": "Ada"}, "outcome": {"type": "authorized"},
}  # fmt: skip
DISPUTE: dict[str, Any] = {
    "id": "dp_1", "object": "dispute", "amount": 1500, "charge": "ch_1", "currency": "eur", "payment_intent": "pi_1",
    "reason": "fraudulent", "status": "needs_response", "is_charge_refundable": False,
}  # fmt: skip


def stripe(type_: str, body: dict[str, Any], event_id: str = "evt_1", resource: str = "pi_1") -> Event:
    document = {"id": event_id, "object": "event", "type": type_, "created": 1_767_323_045, "data": {"object": body}}
    return contract_event(event_id, resource, type=type_, body=json.dumps(document).encode())


REFUND: dict[str, Any] = {
    "id": "re_1", "object": "refund", "amount": 500, "charge": "ch_1", "currency": "eur", "payment_intent": "pi_1",
    "status": "succeeded",
}  # fmt: skip
SUCCEEDED = INTENT | {"amount_received": 1999, "status": "succeeded"}

PAYMENTS = """
    SELECT payment_id, status, currency, amount, captured, refunded, disputed, contradicted
    FROM payments ORDER BY payment_id
"""
TRANSFERS = """
    SELECT movement, debit_account, credit_account, amount, currency FROM transfers ORDER BY namespace, movement
"""
BALANCES = "SELECT account, currency, balance FROM balances ORDER BY account, currency"
CONFLICTS = """
    SELECT payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency
    FROM conflicts ORDER BY id
"""
HELD_BACK = "SELECT payment_id, reason, kind, object, amount, currency FROM held_back ORDER BY event_id, kind"


async def apply(workers: Workers, *events: Event, batch_size: int = 500, **settings: PostingRules) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working(builtin(settings), batch_size=batch_size):
        await workers.drained()


STORY = [
    stripe("payment_intent.created", INTENT, "evt_created"),
    stripe("payment_intent.payment_failed", INTENT, "evt_failed"),
    stripe("charge.succeeded", CHARGE, "evt_charge"),
    stripe("payment_intent.succeeded", SUCCEEDED, "evt_succeeded"),
    stripe("charge.refunded", CHARGE | {"amount_refunded": 500}, "evt_total_1"),
    stripe("charge.refunded", CHARGE | {"amount_refunded": 1200}, "evt_total_2"),
    stripe("refund.created", REFUND, "evt_refund_1"),
    stripe("refund.created", REFUND | {"id": "re_2", "amount": 700}, "evt_refund_2"),
    stripe("refund.created", REFUND | {"id": "re_3", "amount": 99}, "evt_refund_3"),
    stripe("refund.failed", REFUND | {"id": "re_3", "amount": 99, "status": "failed"}, "evt_refund_3_failed"),
    stripe("charge.succeeded", CHARGE | {"captured": False, "amount_captured": 0}, "evt_authorized", "pi_2"),
    stripe("charge.captured", CHARGE | {"amount_captured": 1200}, "evt_captured", "pi_2"),
    stripe("payment_intent.succeeded", INTENT | {"amount_received": 1200}, "evt_succeeded_2", "pi_2"),
    stripe("charge.dispute.created", DISPUTE, "evt_dispute", "pi_3"),
    stripe("charge.dispute.funds_withdrawn", DISPUTE, "evt_withdrawn", "pi_3"),
    stripe("charge.dispute.funds_reinstated", DISPUTE, "evt_reinstated", "pi_3"),
    stripe("charge.dispute.closed", DISPUTE | {"status": "won"}, "evt_won", "pi_3"),
    stripe("charge.dispute.created", DISPUTE | {"id": "dp_2", "amount": 400}, "evt_dispute_2", "pi_3"),
    stripe("charge.succeeded", CHARGE, "evt_charge_3", "pi_3"),
    stripe("charge.dispute.closed", DISPUTE | {"id": "dp_3", "status": "lost"}, "evt_lost", "pi_4"),
    stripe("payment_intent.succeeded", SUCCEEDED, "evt_succeeded_4", "pi_4"),
    stripe("payment_intent.canceled", INTENT, "evt_canceled", "pi_5"),
]
FINAL = [
    ("pi_1", "partially_refunded", "EUR", 1999, 1999, 1200, 0, False),
    ("pi_2", "succeeded", "EUR", 1999, 1200, 0, 0, False),
    ("pi_3", "disputed", "EUR", 1999, 1999, 0, 400, False),
    ("pi_4", "charged_back", "EUR", 1999, 1999, 0, 1500, False),
    ("pi_5", "canceled", "EUR", 1999, 0, 0, 0, False),
]
BOOKED = [
    ("capture:pi_1", "provider:stripe", "merchant", 1999, "EUR"),
    ("capture:pi_2", "provider:stripe", "merchant", 1200, "EUR"),
    ("capture:pi_3", "provider:stripe", "merchant", 1999, "EUR"),
    ("capture:pi_4", "provider:stripe", "merchant", 1999, "EUR"),
    ("dispute:dp_1", "disputes", "provider:stripe", 1500, "EUR"),
    ("dispute_reinstated:dp_1", "provider:stripe", "disputes", 1500, "EUR"),
    ("refund:re_1", "merchant", "provider:stripe", 500, "EUR"),
    ("refund:re_2", "merchant", "provider:stripe", 700, "EUR"),
    ("refund:re_3", "merchant", "provider:stripe", 99, "EUR"),
    ("refund_failed:re_3", "provider:stripe", "merchant", 99, "EUR"),
]
IN_THE_END = [("disputes", "EUR", 0), ("merchant", "EUR", 5997), ("provider:stripe", "EUR", -5997)]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 500])
async def test_rows_are_a_function_of_the_set_of_events(workers: Workers, batch_size: int) -> None:
    chance = random.Random(batch_size)
    for _ in range(4):
        story = [*STORY, *chance.sample(STORY, 6)]
        chance.shuffle(story)
        for event in story:
            await workers.stream.publish(event)
        async with workers.working(batch_size=batch_size), workers.working(batch_size=batch_size):
            await workers.drained()
        order = [event.event_id for event in story]
        assert await workers.rows(PAYMENTS) == FINAL, order
        assert await workers.rows(TRANSFERS) == BOOKED, order
        assert await workers.rows(BALANCES) == IN_THE_END
        assert await audit(workers.connection) == []
        await empty_books(workers.connection)


# Contradictions.

TWO_AMOUNTS = [
    stripe("payment_intent.succeeded", INTENT | {"amount_received": 700}, "evt_700"),
    stripe("charge.succeeded", CHARGE | {"amount_captured": 800}, "evt_800"),
]
TWO_CURRENCIES = [
    stripe("payment_intent.succeeded", SUCCEEDED, "evt_eur"),
    stripe("refund.created", REFUND | {"currency": "usd"}, "evt_usd"),
]


@pytest.mark.parametrize("batch_size", [1, 500])
@pytest.mark.parametrize("order", [1, -1])
async def test_two_amounts_for_one_transfer_are_a_conflict(workers: Workers, batch_size: int, order: int) -> None:
    first, second = ((700, 800), (800, 700))[order < 0]
    await apply(workers, *TWO_AMOUNTS[::order], batch_size=batch_size)
    assert await workers.rows(PAYMENTS) == [("pi_1", "succeeded", "EUR", 1999, 800, 0, 0, False)]
    assert await workers.rows(TRANSFERS) == [("capture:pi_1", "provider:stripe", "merchant", first, "EUR")]
    assert await workers.rows(CONFLICTS) == [("pi_1", "capture:pi_1", first, "EUR", second, "EUR")]
    assert [finding.partition(":")[0] for finding in await workers.findings()] == ["conflict_without_decision"]


@pytest.mark.parametrize("batch_size", [1, 500])
@pytest.mark.parametrize("order", [1, -1])
async def test_two_currencies_of_one_payment_are_a_conflict(workers: Workers, batch_size: int, order: int) -> None:
    await apply(workers, *TWO_CURRENCIES[::order], batch_size=batch_size)
    assert await workers.rows(PAYMENTS) == [("pi_1", "partially_refunded", "EUR", 1999, 1999, 500, 0, True)]
    booked, (conflict,) = await workers.rows(TRANSFERS), await workers.rows(CONFLICTS)
    assert [row[0] for row in booked] == (["capture:pi_1"] if order == 1 else ["refund:re_1"])
    assert conflict[1:4] == (("refund:re_1", None, None) if order == 1 else ("capture:pi_1", None, None))


async def test_two_currencies_without_money_are_a_conflict_too(workers: Workers) -> None:
    usd = stripe("payment_intent.processing", INTENT | {"currency": "usd"}, "evt_usd")
    await apply(workers, stripe("payment_intent.created", INTENT, "evt_eur"), usd)
    assert await workers.rows(CONFLICTS) == [("pi_1", "currency:pi_1", None, "EUR", 0, "USD")]
    await apply(workers, stripe("payment_intent.succeeded", SUCCEEDED, "evt_later"))
    assert await workers.rows(TRANSFERS) == []
    assert await workers.rows(HELD_BACK) == [("pi_1", "conflict", "captured", "pi_1", 1999, "EUR")]


@pytest.mark.parametrize("batch_size", [1, 500])
@pytest.mark.parametrize("order", [1, -1])
async def test_one_transfer_of_two_payments_is_a_conflict(workers: Workers, batch_size: int, order: int) -> None:
    reports = [stripe("refund.created", REFUND, f"evt_{payment}", payment) for payment in ("pi_1", "pi_2")]
    await apply(workers, *reports[::order], batch_size=batch_size)
    assert [row[:6] for row in await workers.rows(PAYMENTS)] == [
        (payment, "refunded", "EUR", 0, 0, 500) for payment in ("pi_1", "pi_2")
    ]
    assert [row[0] for row in await workers.rows(TRANSFERS)] == ["refund:re_1"]
    second = ("pi_2", "pi_1")[order < 0]
    assert await workers.rows(CONFLICTS) == [(second, "refund:re_1", 500, "EUR", 500, "EUR")]


async def test_a_third_event_in_two_currencies_opens_no_second_conflict(workers: Workers) -> None:
    await apply(workers, *TWO_CURRENCIES)
    await apply(workers, stripe("payment_intent.canceled", INTENT | {"currency": "usd"}, "evt_usd_again"))
    assert len(await workers.rows(CONFLICTS)) == 1


async def test_a_conflict_stops_only_its_own_payment(workers: Workers) -> None:
    await apply(workers, *TWO_AMOUNTS)
    more = [
        stripe("refund.created", REFUND, "evt_refund"),
        stripe("refund.updated", REFUND, "evt_refund_again"),
        stripe("payment_intent.succeeded", SUCCEEDED, "evt_other", "pi_2"),
    ]
    await apply(workers, *more)
    assert [row[0] for row in await workers.rows(TRANSFERS)] == ["capture:pi_1", "capture:pi_2"]
    assert await workers.rows(HELD_BACK) == [("pi_1", "conflict", "refunded", "re_1", 500, "EUR")]
    assert [row[:6] for row in await workers.rows(PAYMENTS)] == [
        ("pi_1", "partially_refunded", "EUR", 1999, 800, 500), ("pi_2", "succeeded", "EUR", 1999, 1999, 0),
    ]  # fmt: skip
    assert await workers.events() == ["evt_700", "evt_800", "evt_other", "evt_refund", "evt_refund_again"]


# The posting rules of a source.


def unsigned(events: Sequence[Event]) -> list[Event]:
    changes = {"signed": "weak"}
    return [Event(**{name: getattr(event, name) for name in Event.__slots__} | changes) for event in events]


async def test_an_unsigned_event_moves_no_money_unless_its_source_is_trusted(workers: Workers) -> None:
    story = unsigned([stripe("payment_intent.succeeded", SUCCEEDED)])
    await apply(workers, *story)
    assert await workers.events() == ["evt_1"]
    assert await workers.rows(PAYMENTS) == await workers.rows(TRANSFERS) == []
    assert await workers.rows(HELD_BACK) == [
        ("pi_1", "unsigned", "authorized", "", 1999, "EUR"), ("pi_1", "unsigned", "captured", "pi_1", 1999, "EUR"),
    ]  # fmt: skip
    story = unsigned([stripe("payment_intent.succeeded", SUCCEEDED, "evt_2", "pi_2")])
    await apply(workers, *story, stripe=PostingRules(trust="all"))
    assert [row[0] for row in await workers.rows(TRANSFERS)] == ["capture:pi_2"]
    assert await workers.findings() == []


async def test_a_source_can_name_its_own_accounts(workers: Workers) -> None:
    own = {"provider": "{provider}/{namespace}/{currency}", "merchant": "shop:{payment}", "disputes": "lost"}
    await apply(workers, stripe("payment_intent.succeeded", SUCCEEDED), stripe=PostingRules(accounts=own))
    assert await workers.rows(TRANSFERS) == [("capture:pi_1", "stripe/stripe/EUR", "shop:pi_1", 1999, "EUR")]


async def test_an_authorization_implies_the_capture_with_automatic_capture(workers: Workers) -> None:
    authorized = stripe("charge.succeeded", CHARGE | {"captured": False, "amount_captured": 0}, "evt_authorized")
    captured = stripe("charge.captured", CHARGE, "evt_captured")
    await apply(workers, captured, authorized, stripe=PostingRules(capture="automatic"))
    assert await workers.rows(TRANSFERS) == [("capture:pi_1", "provider:stripe", "merchant", 1999, "EUR")]
    assert [row[:5] for row in await workers.rows(PAYMENTS)] == [("pi_1", "succeeded", "EUR", 1999, 1999)]


@pytest.mark.parametrize("order", [1, -1])
async def test_an_automatic_capture_can_fail(workers: Workers, order: int) -> None:
    item = {"amount": {"currency": "EUR", "value": 500}, "success": "true", "pspReference": "CPT1"}
    story = [
        contract_event(code, "PSP1", provider="adyen", type=code, body=json.dumps(body).encode())
        for code in ("AUTHORISATION", "CAPTURE_FAILED")
        for body in [{"NotificationRequestItem": {**item, "eventCode": code}}]
    ]
    await apply(workers, *story[::order], stripe=PostingRules(capture="automatic"))
    assert await workers.rows(PAYMENTS) == [("PSP1", "failed", "EUR", 500, 0, 0, 0, False)]
    assert [row[0] for row in await workers.rows(TRANSFERS)] == [
        "capture:CPT1", "capture:PSP1", "capture_failed:CPT1", "capture_failed:PSP1"
    ]  # fmt: skip


async def test_a_free_payment_succeeds_without_a_transfer(workers: Workers) -> None:
    free = INTENT | {"amount": 0, "amount_received": 0}
    await apply(workers, stripe("payment_intent.succeeded", free))
    assert await workers.rows(PAYMENTS) == [("pi_1", "succeeded", "EUR", 0, 0, 0, 0, False)]
    assert await workers.rows(TRANSFERS) == []


async def test_transfers_are_never_changed(workers: Workers) -> None:
    await apply(workers, stripe("payment_intent.succeeded", SUCCEEDED))
    for change in ("UPDATE transfers SET amount = 1", "DELETE FROM transfers"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await workers.connection.execute(change)
