"""Objects that an API lists, among the webhooks about them: whatever was lost, late or both, the rows are the same."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from contract.event import Event
from providers.api import Api, Window, to_event
from providers.braintree.api import BraintreeApi
from providers.paystack.api import PaystackApi
from providers.razorpay.api import RazorpayApi
from sql.audit import audit
from tests.support.cases.base import NOW
from tests.support.cases.braintree import xml
from tests.support.consuming import Workers
from tests.support.listed import list_all
from tests.support.stand_ins.braintree import BraintreeStandIn, Claim
from tests.support.stand_ins.paystack import PaystackStandIn
from tests.support.stand_ins.razorpay import RazorpayStandIn

DAY = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
AT = int(DAY.since.timestamp()) + 3600

PAYMENT = "SELECT status, currency, amount, captured, refunded, disputed FROM payments WHERE namespace = $1"
TRANSFERS = (
    "SELECT movement, debit_account, credit_account, amount, currency FROM transfers WHERE namespace = $1 ORDER BY 1"
)
DISPUTES = "SELECT dispute_id, status FROM disputes WHERE namespace = $1 ORDER BY 1"

Rows = list[Any]


def delivered(provider: str, resource: str, bodies: Sequence[tuple[str, bytes]]) -> list[Event]:
    """Return webhooks about a payment, of which each was proven."""
    return [
        Event("shop", "shop", provider, f"e_{number}", type_, resource, NOW, NOW, "body", body)
        for number, (type_, body) in enumerate(bodies)
    ]


async def listed(api: Api) -> list[Event]:
    async with api:
        return [to_event(api.access, api.name, each, NOW, "reconcile") for each in await list_all(api, DAY)]


async def rows_of_histories(workers: Workers, histories: Sequence[Sequence[Event]]) -> list[Rows]:
    """Return the rows of each history, applied in a namespace of its own."""
    for number, history in enumerate(histories):
        for event in history:
            await workers.stream.publish(replace(event, namespace=f"history-{number}", mode=None))
    async with workers.working():
        await workers.drained()
    assert await workers.dead() == []
    assert await audit(workers.connection) == []
    return [
        [await workers.rows(query, f"history-{number}") for query in (PAYMENT, TRANSFERS, DISPUTES)]
        for number in range(len(histories))
    ]


def histories_of(webhooks: Sequence[Event], objects: Sequence[Event]) -> list[list[Event]]:
    """Return the webhooks alone, then every subset of them with the objects, which come first, last, or in between."""
    subsets = [subset for size in range(len(webhooks) + 1) for subset in combinations(webhooks, size)]
    histories = [list(webhooks)]
    for number, subset in enumerate(subsets):
        middle = number % (len(subset) + 1)
        histories.append([*subset[:middle], *objects, *subset[middle:]])
    return histories


def access(api: type[Api], url: str, **credentials: str) -> Any:
    table = {"source": "shop", "namespace": "shop", "mode": "test", "api_url": url, **credentials}
    return api.Access.model_validate(table)


async def test_razorpay(workers: Workers) -> None:
    async with RazorpayStandIn().serving() as server:
        payment = server.add_payment("pay_1", AT)
        refund = server.add_refund("rfnd_1", "pay_1", AT + 1)
        dispute = server.add_dispute("disp_1", "pay_1", AT + 2, status="lost", amount_deducted=300)
        keys = {"key_id": server.key_id, "key_secret": server.key_secret}
        objects = await listed(RazorpayApi(access(RazorpayApi, server.url, **keys)))
    bodies = [
        ("payment.captured", {"payment": payment}),
        ("refund.processed", {"payment": payment, "refund": refund}),
        ("payment.dispute.lost", {"payment": payment, "dispute": dispute}),
    ]
    webhooks = delivered("razorpay", "pay_1", [
        (type_, json.dumps({"payload": {name: {"entity": each} for name, each in members.items()}}).encode())
        for type_, members in bodies
    ])  # fmt: skip
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert [tuple(row) for row in whole[0]] == [("charged_back", "INR", 1000, 1000, 400, 300)]
    assert len(whole[1]) == 3
    assert [rows for rows in others if rows != whole] == []


async def test_braintree(workers: Workers) -> None:
    made = datetime.fromtimestamp(AT, UTC)
    async with BraintreeStandIn().serving() as server:
        server.add("t", made)
        server.add("r", made + timedelta(seconds=1), type="credit", refunded="t", amount="4.00")
        server.claims["d"] = Claim("d", "t", "won", made, amount="6.00", won="5.50")
        keys = {"merchant_id": "a_merchant", "api_public_key": "pub", "api_private_key": "priv"}
        objects = await listed(BraintreeApi(access(BraintreeApi, server.url, **keys)))
    sale = {"id": "t", "type": "sale", "currency-iso-code": "EUR", "amount": "10.00"}
    claim = {
        "id": "d",
        "kind": "chargeback",
        "amount-disputed": "6.00",
        "amount-won": "5.50",
        "currency-iso-code": "EUR",
    }
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("transaction_settled", {"transaction": sale}),
        ("transaction_settled", {"transaction": {**sale, "id": "r", "type": "credit", "amount": "4.00"}}),
        ("dispute_won", {"dispute": claim}),
    ]
    webhooks = delivered("braintree", "t", [
        (kind, base64.encodebytes(xml("notification", {"kind": kind, "subject": subject}).encode()))
        for kind, subject in bodies
    ])  # fmt: skip
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert len(whole[1]) == 4
    assert [rows for rows in others if rows != whole] == []


async def test_a_void_that_no_notification_reports_takes_its_capture_back(workers: Workers) -> None:
    made = datetime.fromtimestamp(AT, UTC)
    async with BraintreeStandIn().serving() as server:
        server.add("t", made, "voided", history=("submitted_for_settlement",))
        keys = {"merchant_id": "a_merchant", "api_public_key": "pub", "api_private_key": "priv"}
        objects = await listed(BraintreeApi(access(BraintreeApi, server.url, **keys)))
    charge = {"id": "t", "type": "sale", "currency-iso-code": "EUR", "amount": "10.00",
              "status": "submitted_for_settlement"}  # fmt: skip
    kind = "subscription_charged_successfully"
    document = xml("notification", {"subject": {"subscription": {"transactions": {"transaction": charge}}}})
    webhooks = delivered("braintree", "t", [(kind, base64.encodebytes(document.encode()))])
    whole, *others = await rows_of_histories(workers, histories_of(webhooks, objects))
    assert [tuple(row)[:4] for row in whole[0]] == [("succeeded", "EUR", 1000, 1000)]
    assert [[tuple(row)[:4] for row in rows[0]] for rows in others] == [[("canceled", "EUR", 1000, 0)]] * 2
    assert others[0][1] == others[1][1]


async def test_paystack(workers: Workers) -> None:
    """A refund that never arrived shows in the payment, and is booked once it arrives: by one name only."""
    async with PaystackStandIn().serving() as server:
        transaction = server.add_transaction(1, "ref_1", AT)
        server.add_refund(11, 1, AT + 1, amount=10000)
        dispute = server.add_dispute(21, 1, AT + 2, status="resolved", resolution="declined")
        api = PaystackApi(access(PaystackApi, server.url, api_key=server.secret_key))
        objects = await listed(api)
    refund = {"refund_reference": "TRF_1", "amount": "10000", "currency": "NGN", "transaction_reference": "ref_1"}
    bodies = [("charge.success", transaction), ("charge.dispute.resolve", dispute), ("refund.processed", refund)]
    webhooks = delivered("paystack", "ref_1", [
        (type_, json.dumps({"event": type_, "data": data}).encode()) for type_, data in bodies
    ])  # fmt: skip
    histories = histories_of(webhooks, objects)
    whole, *others = await rows_of_histories(workers, histories)
    assert [tuple(row) for row in whole[0]] == [("partially_refunded", "NGN", 40333, 40333, 10000, 0)]
    without = [row for row in whole[1] if row[0] != "refund:TRF_1"]
    for history, rows in zip(histories[1:], others, strict=True):
        assert rows[0] == whole[0]
        assert rows[2] == whole[2]
        assert rows[1] == (whole[1] if webhooks[2] in history else without)
