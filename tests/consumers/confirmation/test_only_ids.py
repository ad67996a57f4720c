"""Webhooks that say an id and nothing else: from the gateway to the books, through a question to the provider."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from consumers.confirmation import asker
from consumers.confirmation.access import Access
from consumers.handlers.payments import builtin
from contract.event import Event
from providers.api import Api
from tests.support import asking_mercadopago, asking_mollie
from tests.support.cases.base import NOW_S, Signed
from tests.support.cases.mercadopago import MercadoPagoCase, signature
from tests.support.cases.mollie_classic import MollieClassicCase
from tests.support.consuming import Workers
from tests.support.stand_ins.mercadopago import ACCOUNT, MercadoPagoStandIn, order, refund
from tests.support.stand_ins.mercadopago import payment as mercadopago_payment
from tests.support.stand_ins.mollie import MollieStandIn, part, payment
from tests.support.wait import until

STATES = "SELECT resource, state FROM confirmations JOIN events USING (namespace, event_id) ORDER BY received_at, 1"
TRANSFERS = "SELECT movement, amount FROM transfers ORDER BY movement"
MOLLIE, MERCADO_PAGO = MollieClassicCase(), MercadoPagoCase()


@pytest.fixture
async def mollie() -> AsyncIterator[MollieStandIn]:
    async with MollieStandIn().serving() as server:
        yield server


@pytest.fixture
async def mercado_pago() -> AsyncIterator[MercadoPagoStandIn]:
    async with MercadoPagoStandIn().serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker, "LOOK_EVERY_S", 0.05)


async def decided(workers: Workers, api: Api, events: Sequence[Event], *states: tuple[str, str]) -> None:
    """Publish events, and have a worker ask the API about them until they have these states."""
    for event in events:
        await workers.stream.publish(event)
    access = Access({api.access.source: api})
    handlers = builtin({}, access.asked)

    async def are() -> bool:
        return [tuple(row) for row in await workers.rows(STATES)] == list(states)

    async with workers.working(handlers, access=access, confirm_not_found_s=0, confirm_lag_s=0):
        await until(are, what=f"the events are {states}")
    await workers.assert_all_acked()


async def posted(id_: str) -> Event:
    """Return the event of a classic webhook."""
    (delivery,) = await MOLLIE.source(source="m").verify(MOLLIE.deliver(f"id={id_}").request())
    return delivery.event


async def notified(type_: str, id_: str, user_id: int | None = None, **body: object) -> Event:
    """Return the event of a notification that Mercado Pago signed. Only its id is signed."""
    said = {"action": type_, "type": type_.partition(".")[0], "user_id": user_id, "data": {"id": id_, **body}}
    content = json.dumps(said).encode()
    header = (b"x-signature", signature(MERCADO_PAGO.secrets[0], NOW_S * 1000, id_.lower()))
    signed = Signed([header], content, MERCADO_PAGO.unsigned, f"/webhooks/a?data.id={id_}")
    source = MERCADO_PAGO.source(source="mp", currency="BRL")
    (delivery,) = await source.verify(signed.request())
    return delivery.event


async def test_a_classic_webhook_books_what_mollie_says_and_an_invented_id_nothing(
    workers: Workers, mollie: MollieStandIn
) -> None:
    mollie.add(payment("tr_1"), part("re_1", "tr_1", "5.00", "refunded"))
    events = [await posted("tr_1"), await posted("tr_invented")]
    api = asking_mollie.access(api_url=mollie.url)
    await decided(workers, api, events, ("tr_1", "confirmed"), ("tr_invented", "not_found"))
    assert await workers.rows(TRANSFERS) == [("capture:tr_1", 2995), ("refund:re_1", 500)]


async def test_mercado_pagos_payments_are_booked_as_it_says(workers: Workers, mercado_pago: MercadoPagoStandIn) -> None:
    mercado_pago.add(mercadopago_payment(1, transaction_amount_refunded=8.5), mercadopago_payment(2, collector_id=5))
    mercado_pago.refunds = [refund(7, 1, 8.5)]
    events = [await notified("payment.updated", "1", 666, amount=1), await notified("payment.updated", "2")]
    api = asking_mercadopago.access(api_url=mercado_pago.url)
    await decided(workers, api, events, ("1", "confirmed"), ("2", "not_found"))
    assert await workers.rows(TRANSFERS) == [("capture:1", 5880), ("refund:7", 850)]
    assert await workers.rows("SELECT account FROM payments") == [(ACCOUNT,)]  # and not the one that somebody wrote


async def test_a_forged_order_disagrees_and_a_genuine_one_is_booked(
    workers: Workers, mercado_pago: MercadoPagoStandIn
) -> None:
    genuine, other = order(1), order(2)
    mercado_pago.add(genuine, other)
    paid: dict[str, Any] = {"transactions": {"payments": [{"id": "PAYX", "amount": "5000.00", "status": "processed"}]}}
    said = {name: value for name, value in genuine.items() if name not in ("id", "type")}
    events = [
        await notified("order.processed", genuine["id"], **said),
        await notified("order.processed", other["id"], **paid),
    ]
    api = asking_mercadopago.access(api_url=mercado_pago.url, money_from="orders", currency="BRL")
    await decided(workers, api, events, (genuine["id"].lower(), "confirmed"), (other["id"].lower(), "disagrees"))
    assert await workers.rows(TRANSFERS) == [(f"capture:PAY{1:026d}", 5000)]
