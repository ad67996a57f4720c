"""Objects that an API lists, among the webhooks about them: whatever was lost, late or both, the rows are the same."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from contract.event import Event
from operations.reconcile.payments import Books
from operations.reconcile.store import Difference
from providers.api import Api, Limits, Listed, Window, to_event
from providers.base import Headers, ParsedEvent, Request
from providers.braintree.api import BraintreeApi
from providers.braintree.webhook import parse_payload
from providers.flutterwave_v3.api import FlutterwaveV3Api
from providers.paystack.api import PaystackApi
from providers.razorpay.api import RazorpayApi
from sql.audit import audit
from tests.support.cases.base import NOW
from tests.support.cases.braintree import xml
from tests.support.consuming import Workers
from tests.support.listed import list_all
from tests.support.provider_cases import CASES
from tests.support.stand_ins.braintree import BraintreeStandIn, Claim
from tests.support.stand_ins.flutterwave import KEY, FlutterwaveV3
from tests.support.stand_ins.listing import PaymentsApi, api_of
from tests.support.stand_ins.paystack import PaystackStandIn
from tests.support.stand_ins.razorpay import RazorpayStandIn

DAY = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
AT = int(DAY.since.timestamp()) + 3600

PAYMENTS = """
SELECT payment_id, status, currency, amount, captured, refunded, disputed FROM payments WHERE namespace = $1 ORDER BY 1
"""
TRANSFERS = """
SELECT movement, payment_id, debit_account, credit_account, amount, currency
FROM transfers WHERE namespace = $1 ORDER BY 1
"""
DISPUTES = "SELECT dispute_id, status FROM disputes WHERE namespace = $1 ORDER BY 1"

Rows = list[Any]


def delivered(name: str, bodies: Iterable[object]) -> list[Event]:
    """Return webhooks as the gateway publishes them, each of which was proven. Bytes are Braintree's signed text."""
    provider, events = CASES[name].source(), list[Event]()
    for number, body in enumerate(bodies):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request("POST", "/", Headers([]), text, NOW)
        (parsed,) = parse_payload(text) if isinstance(body, bytes) else provider.parse(request)
        event = provider.to_event(request, "body", parsed)
        events.append(replace(event, source="shop", namespace="shop", event_id=f"e_{number}"))
    return events


async def listed(api: Api, *changes: Callable[[], object]) -> list[Event]:
    """Return what the API lists: now, and once more after each change."""
    events = dict[str, Event]()
    await api.open(Limits(requests_per_s_max=10_000))
    try:
        for change in (lambda: None, *changes):
            change()
            for each in await list_all(api, DAY):
                events[each.parsed.event_id] = to_event(api.access, api.name, each, NOW, "reconcile")
    finally:
        await api.close()
    return list(events.values())


async def rows_of_histories(workers: Workers, histories: Sequence[Sequence[Event]]) -> list[Rows]:
    """Return the rows of each history, applied in a namespace of its own."""
    for number, history in enumerate(histories):
        for event in history:
            await workers.stream.publish(replace(event, namespace=f"history-{number}", mode=None))
    async with workers.working():
        await workers.drained()
    assert await workers.dead() == []
    assert await audit(workers.connection) == []
    for number, history in enumerate(histories):
        assert await differences(workers, f"history-{number}", history) == []
    return [
        [await workers.rows(query, f"history-{number}") for query in (PAYMENTS, TRANSFERS, DISPUTES)]
        for number in range(len(histories))
    ]


async def differences(workers: Workers, namespace: str, history: Sequence[Event]) -> list[Difference]:
    """Return how what was listed, in any of its states, differs from the books once all of it is applied."""
    objects = [
        Listed(ParsedEvent(each.event_id, each.type, each.resource, each.occurred_at, each.headers), each.body)
        for each in history if each.origin == "reconcile"
    ]  # fmt: skip
    api = api_of(PaymentsApi, "http://127.0.0.1:9", source=namespace, provider=history[0].provider)
    found = await Books(workers.connection, api).find(objects)
    assert [each.unreadable for each in objects if each.unreadable] == []
    return found


def histories_of(webhooks: Sequence[Event], objects: Sequence[Event]) -> list[list[Event]]:
    """Return the webhooks alone, then every subset of them with the objects, which come first, last, or in between, the
    oldest states first or last.
    """
    subsets = [subset for size in range(len(webhooks) + 1) for subset in combinations(webhooks, size)]
    histories = [list(webhooks)]
    for number, subset in enumerate(subsets):
        middle = number % (len(subset) + 1)
        histories.append([*subset[:middle], *(objects if number % 3 else objects[::-1]), *subset[middle:]])
    return histories


def access(api: type[Api], url: str, **credentials: str) -> Any:
    table = {"source": "shop", "namespace": "shop", "mode": "test", "api_url": url, **credentials}
    return api.Access.model_validate(table)


async def test_razorpay(workers: Workers) -> None:
    async with RazorpayStandIn().serving() as server:
        payment = server.add_payment("pay_1", AT, status="authorized", captured=False)
        refund = server.add_refund("rfnd_1", "pay_1", AT + 1, status="pending")
        failed = server.add_refund("rfnd_2", "pay_1", AT + 1, amount=100, status="failed")
        dispute = server.add_dispute("disp_1", "pay_1", AT + 2)
        keys = {"key_id": server.key_id, "key_secret": server.key_secret}
        objects = await listed(
            RazorpayApi(access(RazorpayApi, server.url, **keys)),
            lambda: payment.update(status="captured", captured=True),
            lambda: refund.update(status="processed"),
            lambda: dispute.update(status="lost", amount_deducted=300),
        )
    bodies = [
        ("payment.captured", {"payment": payment}),
        ("refund.processed", {"refund": refund}),
        ("refund.failed", {"refund": failed, "payment": payment}),
        ("payment.dispute.lost", {"payment": payment, "dispute": dispute}),
    ]
    webhooks = delivered("razorpay", [
        {"event": type_, "contains": list(about), "payload": {name: {"entity": each} for name, each in about.items()}}
        for type_, about in bodies
    ])  # fmt: skip
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert [tuple(row) for row in whole[0]] == [("pay_1", "charged_back", "INR", 1000, 1000, 400, 300)]
    assert len(whole[1]) == 5
    assert [rows for rows in others if rows != whole] == []


def notification(kind: str, subject: object) -> bytes:
    return base64.encodebytes(xml("notification", {"kind": kind, "subject": subject}).encode())


async def test_braintree(workers: Workers) -> None:
    made = datetime.fromtimestamp(AT, UTC)
    async with BraintreeStandIn().serving() as server:
        submitted = "submitted_for_settlement"
        server.add("t", made, "authorized")
        server.add("r", made + timedelta(seconds=1), submitted, type="credit", refunded="t", amount="4.00")
        server.add("f", made, submitted, type="credit", refunded="t", amount="1.00")
        server.claims["d"] = Claim("d", "t", "open", made, amount="6.00")

        def end() -> None:
            for id_, status in (("t", "settled"), ("r", "settled"), ("f", "settlement_declined")):
                server.sales[id_].status = status
            server.claims["d"] = Claim("d", "t", "won", made, amount="6.00", won="5.50")

        keys = {"merchant_id": "a_merchant", "api_public_key": "pub", "api_private_key": "priv"}
        objects = await listed(BraintreeApi(access(BraintreeApi, server.url, **keys)), end)
    sale = {"id": "t", "type": "sale", "currency-iso-code": "EUR", "amount": "10.00"}
    claim = {
        "id": "d",
        "kind": "chargeback",
        "amount-disputed": "6.00",
        "amount-won": "5.50",
        "currency-iso-code": "EUR",
        "transaction": {"id": "t"},
    }
    credit = {**sale, "id": "r", "type": "credit", "amount": "4.00", "refunded-transaction-id": "t"}
    webhooks = delivered("braintree", [
        notification("transaction_settled", {"transaction": sale}),
        notification("transaction_settled", {"transaction": credit}),
        notification("refund_failed", {"transaction": {**credit, "id": "f", "amount": "1.00"}}),
        notification("dispute_won", {"dispute": claim}),
    ])  # fmt: skip
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert len(whole[1]) == 6
    assert [rows for rows in others if rows != whole] == []


async def test_a_void_that_no_notification_reports_takes_its_capture_back(workers: Workers) -> None:
    made = datetime.fromtimestamp(AT, UTC)
    async with BraintreeStandIn().serving() as server:
        server.add("t", made, "voided", history=("submitted_for_settlement",))
        keys = {"merchant_id": "a_merchant", "api_public_key": "pub", "api_private_key": "priv"}
        objects = await listed(BraintreeApi(access(BraintreeApi, server.url, **keys)))
    charge = {"id": "t", "type": "sale", "currency-iso-code": "EUR", "amount": "10.00",
              "status": "submitted_for_settlement"}  # fmt: skip
    subject = {"subscription": {"transactions": {"transaction": charge}}}
    webhooks = delivered("braintree", [notification("subscription_charged_successfully", subject)])
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert [tuple(row)[:5] for row in whole[0]] == [("t", "succeeded", "EUR", 1000, 1000)]
    assert [[tuple(row)[:5] for row in rows[0]] for rows in others] == [[("t", "canceled", "EUR", 1000, 0)]] * 2
    assert others[0][1] == others[1][1]


async def test_paystack(workers: Workers) -> None:
    """A refund that never arrived shows in the payment, and is booked once it arrives: by one name only."""
    async with PaystackStandIn().serving() as server:
        transaction = server.add_transaction(1, "ref_1", AT)
        back = server.add_refund(11, 1, AT + 1, amount=10000, status="pending")
        dispute = server.add_dispute(21, 1, AT + 2)
        api = PaystackApi(access(PaystackApi, server.url, api_key=server.secret_key))
        objects = await listed(
            api,
            lambda: back.update(status="processed"),
            lambda: dispute.update(status="resolved", resolution="declined"),
        )
    refund = {"refund_reference": "TRF_1", "amount": "10000", "currency": "NGN", "transaction_reference": "ref_1"}
    bodies = [("charge.success", transaction), ("charge.dispute.resolve", dispute), ("refund.processed", refund)]
    webhooks = delivered("paystack", [{"event": type_, "data": data} for type_, data in bodies])
    histories = histories_of(webhooks, objects)
    whole, *others = await rows_of_histories(workers, histories)
    assert [tuple(row) for row in whole[0]] == [("ref_1", "partially_refunded", "NGN", 40333, 40333, 10000, 0)]
    without = [row for row in whole[1] if row[0] != "refund:TRF_1"]
    for history, rows in zip(histories[1:], others, strict=True):
        assert rows[0] == whole[0]
        assert rows[2] == whole[2]
        assert rows[1] == (whole[1] if webhooks[2] in history else without)


async def test_flutterwave(workers: Workers) -> None:
    """An attempt failed, another one succeeded, and a part of it went back: what was confirmed, and what is listed."""
    at = f"{datetime.fromtimestamp(AT, UTC):%Y-%m-%dT%H:%M:%S.000Z}"
    async with FlutterwaveV3().serving() as server:
        api = FlutterwaveV3Api(access(FlutterwaveV3Api, server.url, api_key=KEY))
        attempts = [
            server.has_transaction(7, "order-1", 100, "failed", at), server.has_transaction(8, "order-1", 100, at=at)
        ]  # fmt: skip
        server.has_refund(5, 8, 40, at=at)
        events = delivered("flutterwave_v3", [{"event": "charge.completed", "data": each} for each in attempts])
        async with api:
            fetched = [await api.fetch(each) for each in events]
        objects = await listed(api)
    confirmed = [
        replace(event, body=said.body, type=said.type, signed="api")
        for event, said in zip(events, fetched, strict=True)
    ]
    whole, *others = await rows_of_histories(workers, histories_of([*confirmed, *objects[-1:]], objects))
    assert [tuple(row) for row in whole[0]] == [("order-1", "partially_refunded", "NGN", 10000, 10000, 4000, 0)]
    assert [rows for rows in others if rows != whole] == []
