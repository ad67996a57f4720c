"""What Mollie's and Mercado Pago's APIs say, among the webhooks about it: whatever was lost or late, the same rows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

from contract.event import Event
from providers.api import to_event
from tests.ledger.test_listed_objects import delivered, histories_of, listed, rows_of_histories
from tests.support import asking_mercadopago, asking_mollie
from tests.support.cases.base import NOW
from tests.support.consuming import Workers
from tests.support.stand_ins.mercadopago import MercadoPagoStandIn, chargeback, order, refund
from tests.support.stand_ins.mercadopago import payment as mercadopago_payment
from tests.support.stand_ins.mollie import MollieStandIn, authorized_first, part, payment


def of_the_shop(events: Sequence[Event]) -> list[Event]:
    """Return the events as those of the webhooks' source, whose name is in the accounts."""
    return [replace(event, source="shop") for event in events]


def snapshots(*entities: tuple[str, dict[str, Any]]) -> list[Event]:
    """Return next-generation webhooks that have these entities."""
    return delivered("mollie", [
        {"id": "e", "type": type_, "entityId": entity["id"], "_embedded": {"entity": entity}}
        for type_, entity in entities
    ])  # fmt: skip


async def listed_by_mollie(*objects: dict[str, Any]) -> list[Event]:
    """Return what Mollie lists while the payment is open, nothing of it has ended, and in the end."""
    ended = [dict(each) for each in objects]
    objects[0]["status"] = "open"
    for each in objects[1:]:
        each.update({"reversedAt": None} if "status" not in each else {"status": "pending"})
    async with MollieStandIn().serving() as server:
        server.add(*objects)
        api = asking_mollie.access("mollie", api_url=server.url)
        paid = {"status": ended[0]["status"]}
        changes = [partial(each.update, end) for each, end in zip(objects[1:], ended[1:], strict=True)]
        return of_the_shop(await listed(api, lambda: objects[0].update(paid), *changes))


async def test_a_payment_that_was_paid_at_once(workers: Workers) -> None:
    paid, back, failed = payment("tr_1"), part("re_1", "tr_1", "5.00", "refunded"), part("re_2", "tr_1", "1", "failed")
    disputed = {**part("chb_1", "tr_1", "10.00", None), "reversedAt": "2026-11-25T10:00:00+00:00"}
    objects = await listed_by_mollie(paid, back, failed, disputed)
    webhooks = snapshots(
        ("payment.paid", paid), ("refund.refunded", back), ("refund.failed", failed), ("chargeback.reversed", disputed)
    )
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert len(whole[1]) == 6
    assert [rows for rows in others if rows != whole] == []


async def test_a_payment_that_was_authorized_first(workers: Workers) -> None:
    held = authorized_first("tr_1")
    captures = [part("cpt_1", "tr_1", "20.00", "succeeded"), part("cpt_2", "tr_1", "9.95", "succeeded")]
    objects = await listed_by_mollie(held, *captures)
    webhooks = snapshots(("payment.authorized", held), *(("capture.succeeded", each) for each in captures))
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert [row[0] for row in whole[1]] == ["capture:cpt_1", "capture:cpt_2"]
    assert [rows for rows in others if rows != whole] == []


async def test_an_order_of_mercado_pago(workers: Workers) -> None:
    found = order(1)
    found["transactions"]["refunds"] = [{"id": "REF1", "amount": "10.00", "status": "processed"}]
    headers = {"currency": "BRL", "data.id": found["id"]}
    before = {**found, "transactions": {**found["transactions"], "refunds": []}}
    webhooks = [
        Event("shop", "shop", "mercadopago", f"e_{number}", "order.processed", found["id"].lower(), NOW, NOW, "body",
              json.dumps({"data": each}).encode(), headers)
        for number, each in enumerate((before, found))
    ]  # fmt: skip
    async with MercadoPagoStandIn().serving() as server:
        server.add(found)
        api = asking_mercadopago.access(api_url=server.url, money_from="orders", currency="BRL")
        objects = of_the_shop(await listed(api))
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert len(whole[1]) == 2
    assert [rows for rows in others if rows != whole] == []


async def versions(server: MercadoPagoStandIn, states: Sequence[dict[str, Any]]) -> list[Event]:
    """Return what was fetched of a payment in each of its states."""
    async with asking_mercadopago.asking(server) as api:
        events = []
        for state in states:
            server.add(mercadopago_payment(1, **state))
            (said,) = await api.fetch_payment("1")
            events.append(to_event(api.access, api.name, said, NOW, "reconcile"))
    return events


async def test_the_states_of_a_payment_of_mercado_pago_in_any_order(workers: Workers) -> None:
    states = [
        {"status": "authorized", "captured": False},
        {"status": "approved", "transaction_amount_refunded": 8.5},
        {"status": "charged_back", "status_detail": "reimbursed", "transaction_amount_refunded": 8.5},
    ]
    async with MercadoPagoStandIn().serving() as server:
        server.refunds, server.chargebacks = [refund(7, 1, 8.5)], [chargeback("217", 1, 40.0)]
        fetched = await versions(server, states)
    whole, *others = await rows_of_histories(workers, [list(each) for each in permutations(fetched)])
    assert [row[0] for row in whole[1]] == ["capture:1", "dispute:217", "dispute_reinstated:217", "refund:7"]
    assert [rows for rows in others if rows != whole] == []
