"""Mercado Pago's API: what is asked for, and that what it says is booked once, for this account, as it says it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from providers.api import ApiUnexpectedError, NotFoundError
from providers.mercadopago.facts import extract_facts
from providers.mercadopago.models import FETCHED_ORDER, FETCHED_PAYMENT
from tests.support.asking_mercadopago import PAID, access, asking, everything, facts_of, notified
from tests.support.cases.base import NOW
from tests.support.stand_ins.mercadopago import TOKEN, MercadoPagoStandIn, chargeback, order, payment, refund
from tests.support.stand_ins.stand_in import text


@pytest.fixture
async def stand_in() -> AsyncIterator[MercadoPagoStandIn]:
    async with MercadoPagoStandIn().serving() as server:
        yield server


@pytest.mark.parametrize("type_", ["payment", "payment.created", "payment.updated"])
async def test_a_payment_is_booked_as_the_api_says_it(stand_in: MercadoPagoStandIn, type_: str) -> None:
    stand_in.add(payment(1))
    async with asking(stand_in) as api:
        assert await facts_of(api, notified(type_, "1")) == [PAID]
    assert [(each.path, each.query) for each in stand_in.requests] == [("/v1/payments/1", {})]
    assert stand_in.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({"status": "pending"}, ["pending"]),
        ({"status": "in_process"}, ["pending"]),
        ({"status": "authorized", "captured": False}, ["authorized"]),
        ({"status": "approved", "captured": False}, ["authorized"]),
        ({"status": "rejected"}, ["failed"]),
        ({"status": "cancelled"}, ["canceled"]),
        ({"status": "in_mediation"}, ["captured"]),
        ({"status": "something_new"}, []),
        ({"operation_type": "money_transfer"}, []),
        ({"operation_type": None}, ["captured"]),
        ({"transaction_amount": "58.80"}, ["captured"]),
    ],
)
async def test_each_state_of_a_payment(stand_in: MercadoPagoStandIn, more: dict[str, Any], kinds: list[str]) -> None:
    stand_in.add(payment(1, **more))
    async with asking(stand_in) as api:
        facts = await facts_of(api, notified("payment", "1"))
    assert [(fact.kind, fact.amount) for fact in facts] == [(kind, 5880) for kind in kinds]


async def test_only_refunds_that_are_approved_have_moved_money(stand_in: MercadoPagoStandIn) -> None:
    """The sum counts also what is not listed."""
    stand_in.add(payment(1, transaction_amount_refunded=10.5, status_detail="partially_refunded"))
    stand_in.refunds = [refund(7, 1, 8.5), refund(8, 1, 3, "in_process"), refund(9, 1, 3, "rejected"), refund(6, 2, 1)]
    async with asking(stand_in) as api:
        facts = await facts_of(api, notified("payment.updated", "1"))
    assert facts == [PAID, Fact("refunded", 850, "BRL", "7"), Fact("refunded_total", 1050, "BRL")]


@pytest.mark.parametrize(
    ("detail", "covered", "kinds"),
    [
        ("in_process", None, ["dispute_opened", "funds_withdrawn"]),
        ("settled", None, ["dispute_lost", "funds_withdrawn"]),
        ("reimbursed", None, ["dispute_won", "funds_withdrawn", "funds_reinstated"]),
        (None, True, ["dispute_won", "funds_withdrawn", "funds_reinstated"]),
        (None, False, ["dispute_lost", "funds_withdrawn"]),
    ],
)
async def test_a_chargeback_ends_as_the_payment_or_it_says(
    stand_in: MercadoPagoStandIn, detail: str | None, covered: bool | None, kinds: list[str]
) -> None:
    stand_in.add(payment(1, status="charged_back", status_detail=detail))
    stand_in.chargebacks = [chargeback("217", 1, 40.01, covered=covered)]
    async with asking(stand_in) as api:
        by_payment = await facts_of(api, notified("payment.updated", "1"))
        by_itself = await facts_of(api, notified("topic_chargebacks_wh", "217"))
    assert [(fact.kind, fact.amount, fact.object) for fact in by_payment[1:]] == [(kind, 4001, "217") for kind in kinds]
    assert by_itself == [replace(fact, payment="1") for fact in by_payment]


async def test_a_chargeback_is_looked_for_even_if_its_payment_does_not_say_so_yet(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(payment(1))
    stand_in.chargebacks = [chargeback("217", 1, 40.01)]
    async with asking(stand_in) as api:
        facts = await facts_of(api, notified("chargebacks", "217"))
    assert [fact.kind for fact in facts] == ["captured", "dispute_opened", "funds_withdrawn"]


@pytest.mark.parametrize(
    "more",
    [{"collector_id": 5}, {"collector_id": None}, {"collector_id": None, "collector": {"id": 5}}, {"live_mode": False}],
)
async def test_a_payment_of_another_account_or_mode_is_no_payment(
    stand_in: MercadoPagoStandIn, more: dict[str, Any]
) -> None:
    stand_in.add(payment(1, **more))
    async with asking(stand_in) as api:
        with pytest.raises(NotFoundError):
            await api.fetch(notified("payment", "1"))
        assert await everything(api) == []


@pytest.mark.parametrize("id_", ["2", "x", "1/refunds", "../users/me", "ord01jq4s4ky8hwq6na5pxb65b3d3", "9" * 31])
@pytest.mark.parametrize("type_", ["payment", "chargebacks"])
async def test_what_is_no_id_is_not_asked_for(stand_in: MercadoPagoStandIn, id_: str, type_: str) -> None:
    async with asking(stand_in) as api:
        with pytest.raises(NotFoundError):
            await api.fetch(notified(type_, id_))
    assert {each.path for each in stand_in.requests} <= {"/v1/payments/2", "/v1/chargebacks/2"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not JSON", b"\xff", b'{"id": 2}'])
async def test_an_answer_of_another_shape_is_unexpected(stand_in: MercadoPagoStandIn, body: bytes) -> None:
    async with asking(stand_in) as api:
        stand_in.mishaps.append(text(body))
        with pytest.raises(ApiUnexpectedError) as error:
            await api.fetch(notified("payment", "1"))
    assert TOKEN not in str(error.value)


async def test_an_answer_about_another_payment_is_unexpected(stand_in: MercadoPagoStandIn) -> None:
    stand_in.payments[1] = payment(2)
    async with asking(stand_in) as api:
        with pytest.raises(ApiUnexpectedError, match="another payment"):
            await api.fetch(notified("payment", "1"))


async def test_an_order_is_asked_for_in_upper_case_and_booked_by_its_parts(stand_in: MercadoPagoStandIn) -> None:
    found = order(1)
    found["transactions"]["refunds"] = [{"id": "REF1", "amount": "10.00", "status": "processed"}]
    stand_in.add(found)
    async with asking(stand_in, money_from="orders", currency="BRL") as api:
        facts = await facts_of(api, notified("order.processed", found["id"]))
    paid = f"PAY{1:026d}"
    assert facts == [
        Fact("authorized", 5000, "BRL"), Fact("captured", 5000, "BRL", paid), Fact("refunded", 1000, "BRL", "REF1"),
    ]  # fmt: skip
    assert stand_in.requests[0].path == f"/v1/orders/{found['id']}"


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({"status": "created"}, []),
        ({"status": "processing"}, []),
        ({"status": "action_required", "status_detail": "waiting_capture"}, ["authorized"]),
        ({"status": "action_required", "status_detail": "waiting_payment"}, ["pending"]),
        ({"status": "failed"}, ["failed"]),
        ({"status": "canceled"}, ["canceled"]),
        ({"status": "expired"}, ["canceled"]),
        ({"status": "refunded"}, ["authorized", "captured", "refunded_total"]),
        ({"currency": "CLP", "total_amount": "50", "total_paid_amount": "50", "transactions": {}}, ["authorized"]),
    ],
)
async def test_each_state_of_an_order(stand_in: MercadoPagoStandIn, more: dict[str, Any], kinds: list[str]) -> None:
    stand_in.add(order(1, **more))
    async with asking(stand_in, money_from="orders", currency="BRL") as api:
        facts = await facts_of(api, notified("order.updated", f"ORD{1:026d}"))
    assert [fact.kind for fact in facts] == kinds
    assert {fact.currency for fact in facts} <= {more.get("currency", "BRL")}


async def test_an_order_of_another_account_is_no_order(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(order(1, user_id="5"))
    async with asking(stand_in, money_from="orders", currency="BRL") as api:
        with pytest.raises(NotFoundError):
            await api.fetch(notified("order.processed", f"ORD{1:026d}"))
        assert await everything(api) == []


@pytest.mark.parametrize(
    ("money_from", "type_", "asks"),
    [
        ("payments", "payment.updated", True), ("payments", "order.processed", False),
        ("payments", "topic_chargebacks_wh", True), ("orders", "order.processed", True), ("orders", "payment", False),
        ("orders", "topic_chargebacks_wh", False), ("payments", "topic_merchant_order_wh", False),
        ("payments", "subscription_preapproval", False), ("payments", "unknown", False),
    ],
)  # fmt: skip
def test_one_sale_is_booked_as_an_order_or_as_a_payment(money_from: str, type_: str, asks: bool) -> None:
    api = access(money_from=money_from)
    assert api.must_ask(notified(type_, "1")) is asks
    assert not api.must_ask(notified(type_, "1", {}))  # its id was not signed
    assert not api.must_ask(replace(notified(type_, "1"), signed="api"))


def test_an_order_gives_no_facts_where_payments_are_booked() -> None:
    body = b'{"data": {"id": "ORD1", "total_amount": "5.00"}}'
    event = Event("mp", "mp", "mercadopago", "e", "order.failed", "ord1", NOW, NOW, "reference", body)
    booked = replace(event, headers={"data.id": "ORD1", "currency": "BRL"})
    assert list(extract_facts(booked)) == [Fact("failed", 500, "BRL")]
    assert list(extract_facts(replace(booked, headers={**booked.headers, "money_from": "payments"}))) == []


@pytest.mark.parametrize("type_", [FETCHED_PAYMENT, FETCHED_ORDER])
def test_what_was_not_fetched_gives_no_facts_of_what_is_fetched(type_: str) -> None:
    assert list(extract_facts(notified(type_, "1", {"currency": "BRL", "data.id": "1"}))) == []
