"""A change that comes as a thin event and as a snapshot is booked once, for the payment that its object names."""

import json
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from consumers.handlers.payments import builtin
from contract.event import Event
from providers.stripe import thin
from providers.stripe.identity import parse_event
from sql.audit import audit
from tests.support.consuming import Workers
from tests.support.events import contract_event

CHARGE: dict[str, Any] = {
    "id": "ch_1", "object": "charge", "amount": 1500, "amount_captured": 1500, "amount_refunded": 0, "captured": True,
    "currency": "eur", "payment_intent": "pi_1", "status": "succeeded",
}  # fmt: skip
REFUND: dict[str, Any] = {
    "id": "re_1", "object": "refund", "amount": 500, "currency": "eur", "charge": "ch_1", "payment_intent": "pi_1",
    "balance_transaction": "txn_1", "status": "succeeded",
}  # fmt: skip
INTENT: dict[str, Any] = {
    "id": "pi_1", "object": "payment_intent", "amount": 1500, "amount_received": 1500, "currency": "eur",
    "status": "succeeded",
}  # fmt: skip
CHANGES = [("payment_intent.succeeded", INTENT), ("charge.succeeded", CHARGE), ("refund.created", REFUND)]

ROWS = {
    "payments": "SELECT payment_id, status, captured, refunded FROM payments ORDER BY payment_id",
    "transfers": "SELECT payment_id, movement, amount FROM transfers ORDER BY movement",
}


def snapshot(type_: str, about: dict[str, Any]) -> Event:
    body = json.dumps({"id": f"evt_{type_}", "type": type_, "created": 1_767_323_045, "data": {"object": about}})
    return contract_event(f"evt_{type_}", parse_event(body.encode()).resource, type=type_, body=body.encode())


def confirmed(type_: str, about: dict[str, Any]) -> Event:
    """Return a thin event with what was fetched in place of its body."""
    related_object = {"id": about["id"]}
    body = {"id": "evt_thin", "type": "v1.", "created": "2026-01-02T03:04:05.1Z", "related_object": related_object}
    raw = json.dumps(body).encode()
    event = contract_event(f"evt_thin_{type_}", parse_event(raw).resource, type=f"v1.{type_}", body=raw)
    related = thin.related_object(event)
    assert related
    fetched = json.dumps(about).encode()
    reporting = thin.reporting_type(thin.read_object(fetched, related, event))
    return replace(event, body=thin.snapshot(event, reporting, fetched), type=reporting, signed="api")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_both_kinds_of_one_change_are_booked_once_in_any_order(
    workers: Workers, connection: asyncpg.Connection, order: tuple[int, ...]
) -> None:
    kinds = [[snapshot(*change) for change in CHANGES], [confirmed(*change) for change in CHANGES]]
    for kind in order:
        for event in kinds[kind]:
            await workers.stream.publish(event)
        async with workers.working(builtin({})):
            await workers.drained()
    rows = {table: [tuple(row) for row in await connection.fetch(query)] for table, query in ROWS.items()}
    assert rows == {
        "payments": [("pi_1", "partially_refunded", 1500, 500)],
        "transfers": [("pi_1", "capture:pi_1", 1500), ("pi_1", "refund:re_1", 500)],
    }
    assert not await audit(connection)
