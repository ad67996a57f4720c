"""What events tell about payments: every type in the table with the bodies providers send, and in any order."""

import json
import random
from dataclasses import asdict
from typing import Any

import pytest
from pydantic import ValidationError

from consumers.handlers import Reject
from consumers.handlers.payments import STRIPE_FACTS, Fact, fact_of
from contract.event import Event
from tests.support.consuming import Workers
from tests.support.events import contract_event, hmac_event

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


def in_house(body: bytes, status: str = "completed") -> Event:
    return contract_event("t:1", "t", provider="hmac", type=f"payment.{status}", body=body)


STRIPE_CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("payment_intent.created", INTENT, {"amount": 1999}),
    ("payment_intent.processing", INTENT | {"status": "processing"}, {"amount": 1999}),
    ("payment_intent.requires_action", INTENT | {"status": "requires_action"}, {"amount": 1999}),
    ("payment_intent.amount_capturable_updated", INTENT | {"amount_capturable": 1999},
     {"amount": 1999, "authorized": True}),
    ("payment_intent.payment_failed", INTENT | {"last_payment_error": {"code": "card_declined"}},
     {"amount": 1999, "failed": True}),
    ("payment_intent.canceled", INTENT | {"status": "canceled"}, {"amount": 1999, "canceled": True}),
    ("payment_intent.succeeded", INTENT | {"amount_received": 1999, "status": "succeeded"},
     {"amount": 1999, "captured": 1999, "final_amount": 1999, "succeeded": True}),
    ("payment_intent.succeeded", INTENT | {"amount_received": 1500, "status": "succeeded"},
     {"amount": 1999, "captured": 1500, "final_amount": 1500, "succeeded": True}),
    ("charge.pending", CHARGE | {"captured": True, "amount_captured": 0, "status": "pending"}, {"amount": 1999}),
    ("charge.failed", CHARGE | {"captured": False, "amount_captured": 0, "status": "failed"},
     {"amount": 1999, "failed": True}),
    ("charge.succeeded", CHARGE, {"amount": 1999, "captured": 1999, "authorized": True, "succeeded": True}),
    ("charge.succeeded", CHARGE | {"captured": False, "amount_captured": 0}, {"amount": 1999, "authorized": True}),
    ("charge.succeeded", {k: v for k, v in CHARGE.items() if k != "amount_captured"},
     {"amount": 1999, "captured": 1999, "authorized": True, "succeeded": True}),
    ("charge.captured", CHARGE | {"amount_captured": 1200}, {"amount": 1999, "captured": 1200, "succeeded": True}),
    ("charge.refunded", CHARGE | {"amount_refunded": 500},
     {"amount": 1999, "captured": 1999, "refunded": 500, "succeeded": True}),
    ("charge.dispute.created", DISPUTE, {"disputed": 1500}),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "body", "told"), STRIPE_CASES)
def test_what_a_stripe_event_tells(type_: str, body: dict[str, Any], told: dict[str, Any]) -> None:
    assert fact_of(stripe(type_, body)) == Fact("EUR", **told)


def test_every_stripe_type_in_the_table_has_a_case() -> None:
    assert {type_ for type_, _, _ in STRIPE_CASES} == STRIPE_FACTS.keys()


@pytest.mark.parametrize("type_", ["customer.created", "payment_intent.partially_funded", "", "charge.updated"])
def test_other_types_tell_nothing_whatever_they_hold(type_: str) -> None:
    assert fact_of(contract_event(type=type_ or "x", body=b"\xff not JSON")) is None


def test_another_provider_tells_nothing() -> None:
    assert fact_of(contract_event(provider="standard_webhooks")) is None


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1}, {"amount": 19.99}, {"amount": "1999"}, {"amount": True}, {"amount": None}, {"amount": 2**63},
        {"currency": "euro"}, {"currency": ""}, {"currency": None}, {"amount_received": -5},
    ],
)  # fmt: skip
def test_a_stripe_amount_that_cannot_be_booked_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        fact_of(stripe("payment_intent.succeeded", INTENT | change))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"data": {}}', b"\xff", b"[" * 100_000])
def test_a_stripe_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        fact_of(contract_event(body=body))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("COMPLETED", {"captured": 1999, "final_amount": 1999, "succeeded": True}),
        ("FAILED", {"failed": True}),
        ("PENDING", {}),
    ],
)
def test_what_an_in_house_event_tells(status: str, told: dict[str, Any]) -> None:
    body = json.dumps(hmac_event("t", status)).encode()
    assert fact_of(in_house(body)) == Fact("EUR", amount=1999, **told)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("19.99", "EUR", 1999),
        ('"19.99"', "eur", 1999),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("1e2", "EUR", 10_000),
        ("999999999999999.99", "EUR", 99_999_999_999_999_999),
        ("123456789012345.678", "KWD", 123_456_789_012_345_678),
        ("0.1", "EUR", 10),
        ("1.1", "EUR", 110),
        ("4.35", "EUR", 435),
    ],
)
def test_an_in_house_amount_is_never_a_float(amount: str, currency: str, minor: int) -> None:
    body = f'{{"transaction_id": "t", "status": "PENDING", "amount": {amount}, "currency": "{currency}"}}'
    assert fact_of(in_house(body.encode())) == Fact(currency.upper(), amount=minor)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("19.999", "EUR"), ("0.5", "JPY"), ("1e400", "EUR"), ("-1", "EUR"), ('"-1"', "EUR"), ("NaN", "EUR"),
        ("Infinity", "EUR"), ('"NaN"', "EUR"), ('"1_000"', "EUR"), ('" 1"', "EUR"), ('"1,5"', "EUR"), ('"1e3"', "EUR"),
        ('"\\u0661"', "EUR"), ("true", "EUR"), ("null", "EUR"), ("[0,[1],2]", "EUR"), ("{}", "EUR"), ("1", "ZZZ"),
        ("1", "EURO"), ("1e999999999999999999999", "EUR"), ("9" * 5000, "EUR"),
    ],
)  # fmt: skip
def test_an_in_house_amount_that_cannot_be_booked_is_refused(amount: str, currency: str) -> None:
    body = f'{{"transaction_id": "t", "status": "PENDING", "amount": {amount}, "currency": "{currency}"}}'
    with pytest.raises((Reject, ValidationError)):
        fact_of(in_house(body.encode()))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null", b'{"status": "DONE"}'])
def test_an_in_house_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises((Reject, ValidationError)):
        fact_of(in_house(body))


# Through the worker: the rows do not know in which order, or in what company, the events came.

STORY = [
    stripe("payment_intent.created", INTENT, "evt_created"),
    stripe("payment_intent.payment_failed", INTENT, "evt_failed"),
    stripe("charge.succeeded", CHARGE, "evt_charge"),
    stripe("payment_intent.succeeded", INTENT | {"amount_received": 1999}, "evt_succeeded"),
    stripe("charge.refunded", CHARGE | {"amount_refunded": 500}, "evt_refund_1"),
    stripe("charge.refunded", CHARGE | {"amount_refunded": 1200}, "evt_refund_2"),
    stripe("payment_intent.succeeded", INTENT | {"amount_received": 700, "id": "pi_2"}, "evt_other", "pi_2"),
    stripe("payment_intent.succeeded", INTENT | {"amount_received": 800, "id": "pi_2"}, "evt_contradicts", "pi_2"),
    stripe("charge.dispute.created", DISPUTE | {"currency": "usd"}, "evt_dispute", "pi_3"),
    stripe("charge.succeeded", CHARGE, "evt_charge_3", "pi_3"),
]
PAYMENTS = """
    SELECT payment_id, status, currency, amount, captured, refunded, disputed, final_amount, contradicted
    FROM payments ORDER BY payment_id
"""
FINAL = [
    ("pi_1", "partially_refunded", "EUR", 1999, 1999, 1200, 0, 1999, False),
    ("pi_2", "succeeded", "EUR", 1999, 800, 0, 0, 700, True),
    ("pi_3", "disputed", "EUR", 1999, 1999, 0, 1500, None, True),
]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 10, 500])
async def test_rows_are_a_function_of_the_set_of_events(workers: Workers, batch_size: int) -> None:
    chance = random.Random(batch_size)
    for _ in range(4):
        story = [*STORY, *chance.sample(STORY, 3)]
        chance.shuffle(story)
        for event in story:
            await workers.stream.publish(event)
        async with workers.working(batch_size=batch_size), workers.working(batch_size=batch_size):
            await workers.drained()
        assert await workers.rows(PAYMENTS) == FINAL, [event.event_id for event in story]
        await workers.connection.execute("TRUNCATE events, duplicates, payloads, payments")


def test_a_fact_has_no_way_back() -> None:
    """Amounts are totals that only grow, flags are only set: nothing in a fact takes anything away."""
    assert all(not value for value in asdict(Fact("EUR")).values() if value != "EUR")
