"""The providers that list payments, compared for real: what was lost is found, booked, and never booked twice."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contract.event import Event
from operations.reconcile.errors import UnknownAccountError
from operations.reconcile.run import Reconciliation, Report, Wanted
from operations.reconcile.store import list_findings, read_reconciliations
from operations.servers import Servers
from providers.braintree.api import BraintreeApi
from providers.paystack.api import PaystackApi
from providers.razorpay.api import RazorpayApi
from sql.audit import audit
from tests.support.consuming import Workers
from tests.support.reconciling import ACT, NOW, SINCE, operations_settings
from tests.support.stand_ins.braintree import BraintreeStandIn, Claim
from tests.support.stand_ins.paystack import PaystackStandIn
from tests.support.stand_ins.razorpay import RazorpayStandIn
from tests.support.stand_ins.stand_in import status

AT = NOW - timedelta(hours=6)
AT_S = int(AT.timestamp())
LONG_AGO_S = AT_S - 30 * 86_400

MOVEMENTS = "SELECT movement, amount FROM transfers ORDER BY movement"
PAYMENTS = "SELECT payment_id, status, captured, refunded FROM payments ORDER BY payment_id"


def access(api: Any, url: str, **credentials: str) -> Any:
    return api.Access.model_validate(
        {"source": "shop", "namespace": "shop", "mode": "test", "api_url": url, **credentials}
    )


async def compare(workers: Workers, api: Any, *, repair: bool = True, from_nothing: bool = True) -> Report:
    """Compare once, and have a worker apply what was added."""
    servers = Servers(operations_settings(workers))
    report = await Reconciliation(servers, api, ACT).run(Wanted(repair=repair, since=SINCE, from_nothing=from_nothing))
    async with workers.working():
        await workers.drained()
    assert await workers.dead() == []
    assert await audit(workers.connection) == []
    return report


def razorpay_api(server: RazorpayStandIn) -> RazorpayApi:
    return RazorpayApi(access(RazorpayApi, server.url, key_id=server.key_id, key_secret=server.key_secret))


@pytest.fixture
async def razorpay() -> AsyncIterator[RazorpayStandIn]:
    async with RazorpayStandIn().serving() as server:
        yield server


def webhook(type_: str, resource: str, body: object, *, provider: str = "razorpay") -> Event:
    text = json.dumps(body).encode()
    return Event("shop", "shop", provider, f"evt_{type_}", type_, resource, AT, NOW, "body", text)


async def test_razorpays_lost_webhooks_are_booked_once(workers: Workers, razorpay: RazorpayStandIn) -> None:
    payment = razorpay.add_payment("pay_1", AT_S)
    razorpay.add_refund("rfnd_1", "pay_1", AT_S + 60)
    razorpay.add_payment("pay_2", AT_S, status="created", captured=False)
    first = await compare(workers, razorpay_api(razorpay))
    assert (first.counts.missing, first.counts.repaired) == (2, 2)
    booked = [("capture:pay_1", 1000), ("refund:rfnd_1", 400)]
    assert await workers.rows(MOVEMENTS) == booked
    captured = {"payload": {"payment": {"entity": payment}}}
    await workers.stream.publish(webhook("payment.captured", "pay_1", captured))  # late
    again = await compare(workers, razorpay_api(razorpay))
    assert not again.counts.differs
    assert await workers.rows(MOVEMENTS) == booked


async def test_a_key_of_another_account_adds_no_payments(workers: Workers, razorpay: RazorpayStandIn) -> None:
    old = {"payload": {"payment": {"entity": razorpay.add_payment("pay_old", LONG_AGO_S)}}}
    await workers.stream.publish(webhook("payment.captured", "pay_old", old))
    await compare(workers, razorpay_api(razorpay), repair=False)  # a worker has applied it by now
    known = razorpay.payments.pop("pay_old")
    razorpay.add_payment("pay_1", AT_S)
    with pytest.raises(UnknownAccountError):
        await compare(workers, razorpay_api(razorpay), from_nothing=False)
    razorpay.payments["pay_old"] = known
    assert (await compare(workers, razorpay_api(razorpay), from_nothing=False)).counts.repaired == 1


async def test_a_payment_that_is_captured_long_after_it_was_made_is_asked_for(
    workers: Workers, razorpay: RazorpayStandIn
) -> None:
    """No list of the time shows it: it is found because our row says that it is not finished."""
    payment = razorpay.add_payment("pay_old", LONG_AGO_S, status="authorized", captured=False)
    authorized = webhook("payment.authorized", "pay_old", {"payload": {"payment": {"entity": payment}}})
    unknown = webhook("payment.authorized", "pay_other", {"payload": {"payment": {"entity": payment}}})
    long_ago = AT - timedelta(days=30)
    await workers.stream.publish(replace(authorized, occurred_at=long_ago))
    await workers.stream.publish(replace(unknown, event_id="evt_other", occurred_at=long_ago))
    assert not (await compare(workers, razorpay_api(razorpay))).counts.differs  # a worker has applied them by now
    assert (await compare(workers, razorpay_api(razorpay))).counts.listed == 1
    razorpay.mishaps.extend([None, None, None, status(403), status(403)])  # after the lists
    assert (await compare(workers, razorpay_api(razorpay))).counts.listed == 0
    payment.update(status="captured", captured=True)
    assert (await compare(workers, razorpay_api(razorpay))).counts.repaired == 1
    assert await workers.rows(MOVEMENTS) == [("capture:pay_old", 1000)]
    assert (await compare(workers, razorpay_api(razorpay))).counts.listed == 0


async def test_the_list_of_another_account_is_not_complete(workers: Workers, razorpay: RazorpayStandIn) -> None:
    """It is empty, and the payment that arrived is not known there."""
    entity = {"id": "pay_1", "amount": 1000, "currency": "INR", "status": "captured", "captured": True}
    await workers.stream.publish(webhook("payment.captured", "pay_1", {"payload": {"payment": {"entity": entity}}}))
    async with workers.working():
        await workers.drained()
    for repair in (False, True):
        with pytest.raises(UnknownAccountError):
            await compare(workers, razorpay_api(razorpay), repair=repair, from_nothing=False)
    assert [row.compared_until for row in await read_reconciliations(workers.connection)] == [None]
    razorpay.add_payment("pay_1", LONG_AGO_S)
    assert (await compare(workers, razorpay_api(razorpay), from_nothing=False)).complete_until is not None


async def test_paystacks_lost_refund_shows_and_waits_for_its_name(workers: Workers) -> None:
    async with PaystackStandIn().serving() as server:
        server.add_transaction(1, "ref_1", AT_S, domain=None)
        server.add_refund(11, 1, AT_S + 60)
        api = PaystackApi(access(PaystackApi, server.url, api_key=server.secret_key))
        assert (await compare(workers, api)).counts.repaired == 2
        payment = [("ref_1", "partially_refunded", 40333, 10000)]
        assert await workers.rows(PAYMENTS) == payment
        assert await workers.rows(MOVEMENTS) == [("capture:ref_1", 40333)]
        data = {"refund_reference": "TRF_1", "amount": "10000", "currency": "NGN"}
        await workers.stream.publish(webhook("refund.processed", "ref_1", {"data": data}, provider="paystack"))
        assert not (await compare(workers, api)).counts.differs
    assert await workers.rows(PAYMENTS) == payment
    assert await workers.rows(MOVEMENTS) == [("capture:ref_1", 40333), ("refund:TRF_1", 10000)]


async def test_braintrees_cards_are_booked_and_a_void_takes_one_back(workers: Workers) -> None:
    async with BraintreeStandIn().serving() as server:
        sale = server.add("t1", AT, "submitted_for_settlement")
        server.add("t2", AT, "settled")
        server.claims["d"] = Claim("d", "t2", "lost", AT, amount="10.00")
        keys = {"merchant_id": "a_merchant", "api_public_key": "pub", "api_private_key": "priv"}
        api = BraintreeApi(access(BraintreeApi, server.url, **keys))
        assert (await compare(workers, api, repair=False)).counts.missing == 3
        assert (await compare(workers, api)).counts.repaired == 3
        assert await workers.rows(MOVEMENTS) == [("capture:t1", 1000), ("capture:t2", 1000), ("dispute:d", 1000)]
        sale.status, sale.history = "voided", ("submitted_for_settlement",)
        sale.times["voided_at"] = AT
        assert (await compare(workers, api)).counts.repaired == 1
        assert not (await compare(workers, api)).counts.differs
    assert ("capture_failed:t1", 1000) in await workers.rows(MOVEMENTS)
    assert [row[:3] for row in await workers.rows(PAYMENTS)] == [("t1", "canceled", 0), ("t2", "charged_back", 1000)]


async def test_what_is_missing_of_a_payment_stays_missing_while_the_rest_of_it_is_known(
    workers: Workers, razorpay: RazorpayStandIn
) -> None:
    """Its refund was booked, its capture was not: that the refund is listed does not close what was found."""
    payment = razorpay.add_payment("pay_1", AT_S)
    refund = razorpay.add_refund("rfnd_1", "pay_1", AT_S + 60)
    entities = {"payment": {"entity": payment}, "refund": {"entity": refund}}
    await workers.stream.publish(webhook("refund.processed", "pay_1", {"payload": entities}))
    await compare(workers, razorpay_api(razorpay), repair=False)  # a worker has applied it by now
    found_at = set()
    for _ in range(3):
        await compare(workers, razorpay_api(razorpay), repair=False)
        findings = await list_findings(workers.connection, limit=10)
        assert [(each.kind, each.type) for each in findings] == [("missing", "reconcile.payment")]
        found_at.add(findings[0].found_at)
    assert len(found_at) == 1
    await compare(workers, razorpay_api(razorpay))
    assert not (await compare(workers, razorpay_api(razorpay))).counts.differs
    assert await list_findings(workers.connection, limit=10) == []
