"""Mercado Pago's payments and orders compared with the books: what nobody notified is booked once, under one id."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from providers.api import to_event
from tests.operations.reconcile.test_real_payments import MOVEMENTS, compare
from tests.support import asking_mercadopago
from tests.support.consuming import Workers
from tests.support.reconciling import NOW
from tests.support.stand_ins.mercadopago import MercadoPagoStandIn, chargeback, order, payment, refund

AT = NOW - timedelta(hours=6)
LONG_AGO = AT - timedelta(days=30)


@pytest.fixture
async def server() -> AsyncIterator[MercadoPagoStandIn]:
    async with MercadoPagoStandIn().serving() as stand_in:
        yield stand_in


async def test_what_nobody_notified_is_booked_once(workers: Workers, server: MercadoPagoStandIn) -> None:
    server.add(
        payment(1, AT.isoformat(), transaction_amount_refunded=8.5),
        payment(2, AT.isoformat(), status="charged_back", status_detail="settled"),
        payment(3, AT.isoformat(), operation_type="money_transfer"), payment(4, AT.isoformat(), collector_id=5),
        order(1, AT.isoformat()),
    )  # fmt: skip
    server.refunds, server.chargebacks = [refund(7, 1, 8.5)], [chargeback("217", 2, 40.0)]
    api = asking_mercadopago.access(api_url=server.url)
    first = await compare(workers, api)
    assert (first.counts.missing, first.counts.repaired) == (2, 2)
    booked = [("capture:1", 5880), ("capture:2", 5880), ("dispute:217", 4000), ("refund:7", 850)]
    assert await workers.rows(MOVEMENTS) == booked
    assert not (await compare(workers, api)).counts.differs
    assert await workers.rows(MOVEMENTS) == booked


async def test_orders_are_booked_where_orders_are(workers: Workers, server: MercadoPagoStandIn) -> None:
    server.add(order(1, AT.isoformat()), payment(1, AT.isoformat()))
    api = asking_mercadopago.access(api_url=server.url, money_from="orders", currency="BRL")
    assert (await compare(workers, api)).counts.repaired == 1
    assert await workers.rows(MOVEMENTS) == [(f"capture:PAY{1:026d}", 5000)]
    assert not (await compare(workers, api)).counts.differs


@pytest.mark.parametrize("money_from", ["payments", "orders"])
async def test_what_was_captured_long_after_it_was_made_is_asked_for(
    workers: Workers, server: MercadoPagoStandIn, money_from: str
) -> None:
    """A search by creation does not show an old order again: our row says that it is not finished."""
    waiting = {"status": "action_required", "status_detail": "waiting_capture", "transactions": {}}
    server.add(payment(1, LONG_AGO.isoformat(), status="authorized", captured=False))
    server.add(order(1, LONG_AGO.isoformat(), **waiting))
    id_ = "1" if money_from == "payments" else f"ORD{1:026d}"
    api = asking_mercadopago.access(api_url=server.url, money_from=money_from, currency="BRL")
    async with api:
        (listed,) = await api.fetch_payment(id_)
    authorized = to_event(api.access, api.name, listed, NOW, "reconcile")
    await workers.stream.publish(replace(authorized, occurred_at=LONG_AGO))
    await compare(workers, api)
    assert await workers.rows(MOVEMENTS) == []
    server.add(payment(1, LONG_AGO.isoformat()), order(1, LONG_AGO.isoformat()))
    assert (await compare(workers, api)).counts.repaired == 1
    assert len(await workers.rows(MOVEMENTS)) == 1
